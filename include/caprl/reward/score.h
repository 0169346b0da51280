// What is scored and what comes of it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caprl/image/source.h"
#include "caprl/reward/question.h"

namespace caprl {

/// A caption as the reward sees it.
struct CaptionToScore {
  std::string text;
  int64_t num_tokens = 0;  // of the captioner's tokenizer, the end of the turn not counted
};

struct GroupToScore {
  uint64_t prompt_id = 0;
  const std::vector<Question>* questions = nullptr;
  std::vector<CaptionToScore> captions;
  const ImageSource* image = nullptr;  // for terms that look at it
};

/// One question put to the answerer and what came back.
struct AnswerRecord {
  AskedQuestion asked;
  std::string output;  // generated text, or the chosen letter in kLetterLogits
  char given = 0;      // 0: no letter found
  bool valid = true;   // false: the prompt exceeds the answerer's context; left out of the reward
  double right_probability = 0;  // kLetterLogits: probability of the right letter among the options
  bool right() const { return valid && given == asked.right; }
  bool abstained() const { return valid && asked.abstain != 0 && given == asked.abstain; }
};

/// What a term gave a caption, before its weight.
struct TermScore {
  std::string name;
  std::optional<double> value;
};

struct CaptionReward {
  int64_t num_right = 0;
  int64_t num_asked = 0;  // valid answers only
  std::vector<AnswerRecord> answers;
  std::optional<double> accuracy;  // right / asked, or expected; absent without a valid answer
  std::vector<TermScore> terms;    // those that are on
  std::optional<double> value;  // scale · accuracy + Σ weight · term; absent if a part of it is
};

/// [groups][captions]
using GroupScores = std::vector<std::vector<CaptionReward>>;

}  // namespace caprl
