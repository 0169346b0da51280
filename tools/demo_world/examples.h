// What the answerer learns from: a caption, a question, and the answer that the caption, right or
// wrong, gives to it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "questions.h"

namespace caprl::demo {

struct AnswererExample {
  std::string prompt;          // the user's message, from kAnswererPrompt
  std::string response;        // what the caption says, then the letter: "red B", "unknown F"
  bool is_answerable = false;  // the caption says it, and what it says is among the options
};

/// `count` examples about one caption, so that they share all that precedes the question. The
/// caption may be full or vague, may contradict itself, be out of order or cut off; the first
/// sentence about a place counts. Responses name the word before its letter: so small a model
/// learns the two steps, finding the word and finding its option, far sooner than both at once.
/// A share of `told` of the questions tells an answer; it counts where the caption gives none.
std::vector<AnswererExample> draw_answerer_examples(int64_t count, Draws& draws, double told = 0);

}  // namespace caprl::demo
