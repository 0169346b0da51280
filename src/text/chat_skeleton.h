// What a chat template puts around the texts of a conversation.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/text/chat.h"
#include "text/chat_template.h"

namespace caprl {

/// What the template takes off one end of a message's text.
enum class Trim { kNothing, kNewlines, kSpace };

/// A stretch of a rendered conversation: an added token, the template's own text, or the place of a
/// message's text.
struct ChatPiece {
  enum class Kind { kAdded, kText, kSlot };
  Kind kind = Kind::kText;
  std::string text;  // of a slot: nothing
  size_t slot = 0;   // counts the conversation's text parts that are not empty
  Trim left = Trim::kNothing;
  Trim right = Trim::kNothing;

  /// The part of a message's text that the template lets through.
  std::string_view trim(std::string_view text) const;
};

/// Found by rendering the template with place-holders for the texts, so that no text can be taken
/// for something of the template's: its added tokens come from the template alone. Conversations
/// with the same roles and parts have the same skeleton.
///
/// Images: the template's own marks; where it takes texts only and the tokenizer has InternVL's
/// tokens, "<img><IMG_CONTEXT></img>\n", as InternVL's own code puts it. InputError if the template
/// leaves a text out, repeats it, or changes more of it than the white space at its ends, if it
/// does not render images but a message has one, and for an unknown role.
std::vector<ChatPiece> make_chat_skeleton(const ChatTemplate& chat_template,
                                          const Tokenizer& tokenizer,
                                          std::span<const ChatMessage> messages,
                                          bool generation_prompt);

/// Equal for conversations with the same skeleton.
std::string chat_shape(std::span<const ChatMessage> messages, bool generation_prompt);

}  // namespace caprl
