// How an answer is compared with what is right. docs/EVAL.md defines each scorer.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/reward/question.h"

namespace caprl {

/// The most options of a question that is evaluated: the letters.
inline constexpr int64_t kMaxEvalChoices = 26;

/// What an item takes for right.
struct Expected {
  std::vector<std::string> answers;  // any of them
  std::optional<Question> question;  // with choices, of which answers.front() is the letter
  double tolerance = 0;              // of numbers, relative
};

/// From 0, wrong, to 1, right. A pure function.
using Scorer = double (*)(const Expected& expected, std::string_view given);

/// The option that the answer names, by its letter or its text.
double score_choice(const Expected& expected, std::string_view given);
/// The same number, within `tolerance`.
double score_numeric(const Expected& expected, std::string_view given);
/// Relaxed accuracy: numbers within 5 %, whatever their scale (1, 1/100, 100); other answers
/// exactly.
double score_chart(const Expected& expected, std::string_view given);
/// Average normalised Levenshtein similarity, 0 below one half.
double score_anls(const Expected& expected, std::string_view given);
/// The same value, however it is written.
double score_math(const Expected& expected, std::string_view given);

/// Null if there is none of that name.
Scorer find_scorer(std::string_view name);
/// "choice, numeric, …".
std::string scorer_names();

}  // namespace caprl
