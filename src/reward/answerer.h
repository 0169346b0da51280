// The frozen text LLM that answers questions from a caption alone.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/models/model.h"
#include "caprl/reward/question.h"
#include "caprl/reward/reward.h"
#include "caprl/text/chat.h"

namespace caprl {

/// One caption and what is asked about it.
struct Inquiry {
  std::string caption;
  std::vector<AskedQuestion> questions;
  uint64_t prompt_id = 0;
  uint64_t sample = 0;  // number of the caption within its group
};

struct Answer {
  std::string output;
  char given = 0;  // 0: no letter
  double right_probability = 0;
};

/// Thread safe as long as the model's weights do not change.
class Answerer {
 public:
  virtual ~Answerer() = default;
  /// [inquiries][questions]. A pure function of (weights, seed, step, inquiries).
  virtual std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                                  uint64_t step) const = 0;
};

/// Turns inquiries into token ids that share everything before the question.
class AnswerPrompt {
 public:
  /// InputError if the configured prompt lacks a placeholder.
  AnswerPrompt(const AnswererConfig& config, std::shared_ptr<const Tokenizer> tokenizer,
               std::shared_ptr<const ChatFormat> chat);
  /// The prefix is what all of the caption's prompts begin with; each branch, never empty, is the
  /// rest of one of them.
  BranchedSequence build(const Inquiry& inquiry) const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ChatFormat& chat() const { return *chat_; }

 private:
  std::string system_prompt_, template_, assistant_prefix_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> chat_;
};

/// The first letter from A to I in the text (as the released reward server reads answers), 0 if
/// there is none.
char first_letter(std::string_view text);

/// Generates an answer and takes its first letter: the published protocol.
std::unique_ptr<Answerer> make_sample_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config, uint64_t seed);
/// Compares the probabilities of the options' letters as the next token: one forward pass,
/// deterministic.
std::unique_ptr<Answerer> make_letter_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config);

}  // namespace caprl
