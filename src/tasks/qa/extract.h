// Multiple-choice questions in what a model has written.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/reward/question.h"

namespace caprl {

struct MalformedQuestion {
  int64_t number = 0;  // among the text's questions, from 1
  std::string text;    // its beginning
  std::string reason;
};

struct Extraction {
  std::vector<Question> questions;
  std::vector<MalformedQuestion> malformed;
};

/// Finds blocks of a question, its options and "Answer: …":
///   #### 1. **What is it?**
///   - A) a dog
///   - B) a cat
///   **Answer:** B) a cat
/// Headings, numbers ("1.", "Q1:", "Question 1:"), bold type, bullets and blank lines may be there
/// or not; labels may be "A)", "A.", "A:", "(A)", small, or full-width; options may stand in one
/// line and go on over several; the answer is a letter, a letter and a text, or a choice's text.
/// A text before the first question and explanations after an answer are passed over. A question
/// without an answer or options, with an answer that is none of them or contradicts itself, with
/// equal options, or the same as one before it, is malformed.
Extraction extract_questions(std::string_view text);

}  // namespace caprl
