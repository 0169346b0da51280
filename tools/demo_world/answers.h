// Whether an answerer answers what captions say, and abstains where they do not.
#pragma once
#include <cstdint>
#include <filesystem>

namespace caprl::demo {

struct AnswerCount {
  int64_t num_answerable = 0, num_right = 0;        // the caption says it; the right letter came
  int64_t num_unanswerable = 0, num_abstained = 0;  // it does not; the abstain letter came
};

/// `expected`: answerer_test.jsonl; `given`: what `caprl score --greedy` made of it, joined by id.
/// The answer is a text's first capital letter, as in the reward. InputError for an id without an
/// answer.
AnswerCount count_answers(const std::filesystem::path& expected,
                          const std::filesystem::path& given);

}  // namespace caprl::demo
