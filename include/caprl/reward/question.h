// Multiple-choice questions: parsed, checked, shuffled and relabelled.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/philox.h"

namespace caprl {

struct Question {
  std::string text;
  std::vector<std::string> choices;  // without their labels, 2 … 8, distinct
  int64_t answer = 0;                // index into choices
};

/// {"question", "choices": ["A) …"], "answer": "B"}. `where` ("file:line") starts the InputError's sentence.
Question parse_question(const nlohmann::json& item, std::string_view where);

/// A question as it is put to the answerer.
struct AskedQuestion {
  int64_t question = 0;         // index into the image's questions
  std::vector<int64_t> order;   // order[place] = original choice; empty: as written
  std::string text;             // question and labelled options, abstain option included
  char right = 'A';             // label of the right answer
  char abstain = 0;             // label of the abstain option, 0 without
  int64_t num_options = 0;      // abstain option included
};

}  // namespace caprl
