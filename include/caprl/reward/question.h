// Multiple-choice questions: parsed, checked, shuffled and relabelled.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

inline constexpr int64_t kMaxChoices = 8;

struct Question {
  std::string text;
  std::vector<std::string> choices;  // without their labels, 2 … kMaxChoices, distinct
  int64_t answer = 0;                // index into choices
};

/// {"question", "choices": ["A) red", …], "answer": "B"}; other keys are passed over. Choices are
/// labelled "A) red", "A. red", "(A) red", or with the full-width marks "A）", "A．", "A、" and
/// "（A）" (all of them, A, B, … in order), or not at all. The answer is a letter ("B", "B)",
/// "(B)") or the text of a choice, with or without its label. `where` ("file:line") starts the
/// InputError's sentence, which is thrown for missing or ill-typed keys, an empty question or
/// choice, fewer than 2 or more than `max_choices` choices (at most 26), duplicate choices, labels
/// out of order, and an answer that is no choice or may mean two.
Question parse_question(const nlohmann::json& item, std::string_view where,
                        int64_t max_choices = kMaxChoices);

/// A question with its choices in the text, as the published reward server takes it: lines of the
/// question, then a line for each labelled choice, A, B, … in order. Further lines belong to the
/// choice above them (code, formulas); blank ones at its end do not. Where the question itself has
/// labelled lines, the choices are those after the last "A". Errors as parse_question.
Question parse_inline_question(std::string_view text, std::string_view answer,
                               std::string_view where);

/// The option "the caption does not say", appended to a question's own choices and never right.
struct AbstainOption {
  std::string text;  // empty: not appended
  /// Its letter, also if letters in between stay unused ("A", "B", "C", "D", then "F" as in the
  /// released reward server); empty, or taken by one of the question's own choices: the next
  /// letter.
  std::string label;
};

/// A question as it is put to the answerer.
struct AskedQuestion {
  int64_t question = 0;        // index into the image's questions
  std::vector<int64_t> order;  // order[place] = original choice; empty: as written
  std::string text;            // question and labelled options, abstain option included
  char right = 'A';            // label of the right answer
  char abstain = 0;            // label of the abstain option, 0 without
  int64_t num_options = 0;     // abstain option included

  /// Labels of all options in the order of the text.
  std::string labels() const;
};

/// "What is it?\nA) a dog\nB) a cat". `index` becomes AskedQuestion::question; `order` is empty or
/// a permutation of the choices.
AskedQuestion ask(const Question& question, int64_t index, std::vector<int64_t> order,
                  const AbstainOption& abstain);

}  // namespace caprl
