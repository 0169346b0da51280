#include <algorithm>

#include "engine_answerer.h"

namespace caprl {
namespace {

class SampleAnswerer : public EngineAnswerer {
 public:
  SampleAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config)
      : EngineAnswerer(model, std::move(prompt), config) {
    params_.temperature = config.temperature;
    params_.top_p = config.top_p;
    params_.max_new_tokens = config.max_new_tokens;
    params_.stop_ids = this->prompt().chat().stop_ids();
    params_.purpose = RandomPurpose::kAnswerSampling;
  }

 private:
  SamplingParams params(const AnswerKey& key) const override {
    SamplingParams params = params_;
    params.seed = key.seed;
    params.step = key.step;
    return params;
  }
  Answer read(const AskedQuestion&, const GeneratedSequence& sequence) const override {
    const std::string output = prompt().tokenizer().decode(sequence.ids, true);
    return {true, output, first_letter(output), 0};
  }

  SamplingParams params_;
};

}  // namespace

char first_letter(std::string_view text) {
  const auto found =
      std::find_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'I'; });
  return found == text.end() ? '\0' : *found;
}

std::unique_ptr<Answerer> make_sample_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config) {
  return std::make_unique<SampleAnswerer>(model, std::move(prompt), config);
}

}  // namespace caprl
