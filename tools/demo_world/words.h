// Every word of the demonstration. All its texts are words and punctuation separated by single
// spaces (labels "A)" and line breaks between options excepted), each a single token of its
// tokenizer. Places are one word each ("topleft"), because the pre-tokenizer of Qwen2.5 splits at
// hyphens.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace caprl::demo {

inline constexpr std::array<std::string_view, 4> kPlaces = {"topleft", "topright", "bottomleft",
                                                            "bottomright"};  // reading order
inline constexpr std::array<std::string_view, 6> kColors = {"red",    "green", "blue",
                                                            "yellow", "white", "cyan"};
inline constexpr std::array<std::string_view, 4> kShapes = {"circle", "square", "triangle",
                                                            "cross"};
inline constexpr std::array<std::string_view, 5> kCounts = {"one", "two", "three", "four", "five"};
inline constexpr std::string_view kSome = "some";        // objects, their number left open
inline constexpr std::string_view kObjects = "objects";  // after a number
inline constexpr std::string_view kNothing = "nothing";  // an empty place
inline constexpr std::string_view kThing = "thing";      // an object of which nothing more is said

/// The captioner's prompt, "<image>" standing for the image.
inline constexpr std::string_view kCaptionPrompt = "<image> describe the image .";
/// What the judge is asked after the image; it replies with a digit from 1 to 5.
inline constexpr std::string_view kJudgePrompt = " describe the image . {caption} ?";
/// What the curator's model is asked after the image, or without it.
inline constexpr std::string_view kCuratorPrompt = "question : {question}";
/// The answerer's prompt; {question} is the question and its options as reward's `ask` writes them.
inline constexpr std::string_view kAnswererPrompt = "{caption}\nquestion : {question}";
/// The option for what a caption does not say, and its letter, the same however many options there
/// are.
inline constexpr std::string_view kAbstainText = "unknown";
inline constexpr std::string_view kAbstainLabel = "F";

/// The closed list, roles of the chat format included, without duplicates: what the tokenizer is
/// made from.
std::vector<std::string> all_words();

}  // namespace caprl::demo
