// What a line of a model's text is: part of a question's block.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct OptionLine {
  int64_t label = 0;  // 0: A
  std::string text;
};

struct QuestionStart {
  bool is_heading = false;
  std::optional<int64_t> number;
  std::string text;  // may be empty: it follows
};

/// Without white space at the ends and the bold type around the whole or the beginning.
std::string plain_line(std::string_view line);

/// "- **A)** red", "(b) red", "A. red", "A：red": the options that the line has, several only where
/// their labels go on ("A) red B) blue"). None: it is no option.
std::vector<OptionLine> option_line(std::string_view line);

/// What follows "Answer:", "**Correct answer:**", "答案：".
std::optional<std::string> answer_line(std::string_view line);

/// "#### 1. **What is it?**", "2) What is it?", "Q3: What is it?", "**Question 4**", "### Colours".
std::optional<QuestionStart> question_start(std::string_view line);

}  // namespace caprl
