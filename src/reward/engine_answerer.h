// An answerer that runs on the engine of generation.
#pragma once
#include "answerer.h"
#include "caprl/generation/generator.h"

namespace caprl {

/// All prompts begin with the same instruction, those of a caption with the caption, too: the
/// engine reads both once.
class EngineAnswerer : public Answerer {
 public:
  EngineAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config)
      : model_(model), prompt_(std::move(prompt)), limits_(config.limits) {}

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          GenerationStats* stats) const final;

 protected:
  const AnswerPrompt& prompt() const { return prompt_; }
  /// How the answers of inquiries with this key are generated.
  virtual SamplingParams params(const AnswerKey& key) const = 0;
  virtual Answer read(const AskedQuestion& question, const GeneratedSequence& sequence) const = 0;

 private:
  void answer(std::span<const Inquiry> inquiries, std::span<const RenderedInquiry> rendered,
              std::span<const size_t> which, std::vector<std::vector<Answer>>& answers,
              GenerationStats& stats) const;

  const Model& model_;
  AnswerPrompt prompt_;
  GenerationLimits limits_;
};

}  // namespace caprl
