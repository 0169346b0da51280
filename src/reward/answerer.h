// The frozen text LLM that answers questions from a caption alone.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "answer_prompt.h"
#include "caprl/generation/generator.h"
#include "caprl/models/model.h"
#include "caprl/reward/reward.h"

namespace caprl {

struct Answer {
  bool valid = false;  // false: the question could not be put to the answerer
  std::string output;
  char given = 0;                // 0: no letter
  double right_probability = 0;  // of the letter answerer
};

/// Called from one thread at a time.
class Answerer {
 public:
  virtual ~Answerer() = default;
  /// [inquiries][questions]. A pure function of (weights, inquiries). `stats` get what the engine
  /// did, if there is one.
  virtual std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                                  GenerationStats* stats = nullptr) const = 0;
};

/// The first letter from A to I in the text (as the released reward server reads answers), 0 if
/// there is none.
char first_letter(std::string_view text);

/// Generates an answer and takes its first letter: the published protocol.
std::unique_ptr<Answerer> make_sample_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config);
/// Compares the probabilities of the options' letters as the next token: nothing is generated,
/// deterministic. InputError if the tokenizer has no token for a letter.
std::unique_ptr<Answerer> make_letter_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config);
/// Asks servers. Answers that none of them gives are invalid; Error if that is all of them, and if
/// no server is there to begin with.
std::unique_ptr<Answerer> make_remote_answerer(const ServersConfig& config, uint64_t seed);

}  // namespace caprl
