#include <algorithm>

#include "answerer.h"
#include "caprl/generation/generator.h"

namespace caprl {
namespace {

class SampleAnswerer : public Answerer {
 public:
  SampleAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config,
                 uint64_t seed)
      : model_(model), prompt_(std::move(prompt)), limits_(config.limits) {
    params_.temperature = config.temperature;
    params_.top_p = config.top_p;
    params_.max_new_tokens = config.max_new_tokens;
    params_.stop_ids = prompt_.chat().stop_ids();
    params_.seed = seed;
    params_.purpose = RandomPurpose::kAnswerSampling;
  }

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          uint64_t step) const override {
    const auto rendered = prompt_.render(inquiries);
    std::vector<GenerationRequest> requests;
    for (size_t i = 0; i < inquiries.size(); ++i) {
      GenerationRequest& request = requests.emplace_back();
      request.prompt = rendered[i].sequence.prefix;
      request.prompt_id = inquiries[i].prompt_id;
      request.parent_sample = inquiries[i].sample;
      request.suffixes = rendered[i].sequence.branches;
    }
    SamplingParams params = params_;
    params.step = step;
    const auto sampled = generate(model_, requests, params, limits_);

    std::vector<std::vector<Answer>> answers;
    for (size_t i = 0; i < inquiries.size(); ++i) {
      auto& mine = answers.emplace_back(inquiries[i].questions.size());
      for (size_t branch = 0; branch < sampled[i].size(); ++branch)
        mine[rendered[i].questions[branch]] = read(sampled[i][branch]);
    }
    return answers;
  }

 private:
  Answer read(const GeneratedSequence& sequence) const {
    const std::string output = prompt_.tokenizer().decode(sequence.ids, true);
    return {true, output, first_letter(output), 0};
  }

  const Model& model_;
  AnswerPrompt prompt_;
  SamplingParams params_;
  GenerationLimits limits_;
};

}  // namespace

char first_letter(std::string_view text) {
  const auto found =
      std::find_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'I'; });
  return found == text.end() ? '\0' : *found;
}

std::unique_ptr<Answerer> make_sample_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config, uint64_t seed) {
  return std::make_unique<SampleAnswerer>(model, std::move(prompt), config, seed);
}

}  // namespace caprl
