#include "answerer.h"
#include "caprl/generation/generator.h"

namespace caprl {
namespace {

class SampleAnswerer : public Answerer {
 public:
  SampleAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config,
                 uint64_t seed)
      : model_(model), prompt_(std::move(prompt)) {
    params_.temperature = config.temperature;
    params_.top_p = config.top_p;
    params_.max_new_tokens = config.max_new_tokens;
    params_.stop_ids = prompt_.chat().stop_ids();
    params_.seed = seed;
    params_.purpose = RandomPurpose::kAnswerSampling;
  }

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          uint64_t step) const override {
    std::vector<GenerationRequest> requests;
    for (const Inquiry& inquiry : inquiries) {
      BranchedSequence sequence = prompt_.build(inquiry);
      GenerationRequest& request = requests.emplace_back();
      request.prompt = std::move(sequence.prefix);
      request.prompt_id = inquiry.prompt_id;
      request.parent_sample = inquiry.sample;
      request.suffixes = std::move(sequence.branches);
    }
    SamplingParams params = params_;
    params.step = step;
    std::vector<std::vector<Answer>> answers;
    for (const auto& sequences : generate(model_, requests, params)) {
      auto& mine = answers.emplace_back();
      for (const GeneratedSequence& sequence : sequences) {
        Answer& answer = mine.emplace_back();
        answer.output = prompt_.tokenizer().decode(sequence.ids, true);
        answer.given = first_letter(answer.output);
      }
    }
    return answers;
  }

 private:
  const Model& model_;
  AnswerPrompt prompt_;
  SamplingParams params_;
};

}  // namespace

std::unique_ptr<Answerer> make_sample_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config, uint64_t seed) {
  return std::make_unique<SampleAnswerer>(model, std::move(prompt), config, seed);
}

}  // namespace caprl
