// A vision-language model that question curation asks.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/generation/prompts.h"
#include "caprl/tasks/qa.h"

namespace caprl {

class AskedModel {
 public:
  /// `section`: of the config, for messages. InputError for a bad directory or dtype, and for a
  /// text-only model.
  AskedModel(const QaModelConfig& config, const std::string& section, int64_t max_prompt_length,
             at::Device device);

  const Model& model() const { return *model_; }
  const PromptBuilder& prompts() const { return prompts_; }
  /// Of what it says; `purpose` keeps the models' random numbers apart.
  SamplingParams params(int64_t seed, RandomPurpose purpose) const;
  /// Whether so many tokens and an answer after them fit into its context.
  bool fits(size_t num_tokens) const;

 private:
  const QaModelConfig& config_;
  std::unique_ptr<Model> model_;
  PromptBuilder prompts_;
};

/// A turn of the user, after `system` if that is not empty: the image if there is one, then the
/// text.
std::vector<ChatMessage> qa_messages(const std::string& system, bool with_image,
                                     const std::string& text);

}  // namespace caprl
