// What the answerer learns from: a caption, a question, and the answer that the caption, right or
// wrong, gives to it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "questions.h"

namespace caprl::demo {

struct AnswererExample {
  std::string prompt;    // the user's message, from kAnswererPrompt
  std::string response;  // a letter; for an open question the word
  bool is_open = false;
  bool is_answerable = false;  // the caption says it, and what it says is among the options
};

/// `count` examples about one caption, so that they share all that precedes the question. The
/// caption may be full or vague, may contradict itself, be out of order or cut off; the first
/// sentence about a place counts.
std::vector<AnswererExample> draw_answerer_examples(int64_t count, double open_share, Draws& draws);

}  // namespace caprl::demo
