#include "engine_answerer.h"

#include <map>

namespace caprl {

std::vector<std::vector<Answer>> EngineAnswerer::answer(std::span<const Inquiry> inquiries,
                                                        GenerationStats* stats) const {
  const auto rendered = prompt_.render(inquiries);
  std::vector<std::vector<Answer>> answers;
  std::map<AnswerKey, std::vector<size_t>> by_key;  // random numbers are addressed run by run
  for (size_t i = 0; i < inquiries.size(); ++i) {
    answers.emplace_back(inquiries[i].questions.size());
    by_key[inquiries[i].key].push_back(i);
  }
  GenerationStats total;
  for (const auto& [key, which] : by_key) answer(inquiries, rendered, which, answers, total);
  model_.join_other_passes();
  if (stats) *stats = total;
  return answers;
}

void EngineAnswerer::answer(std::span<const Inquiry> inquiries,
                            std::span<const RenderedInquiry> rendered,
                            std::span<const size_t> which,
                            std::vector<std::vector<Answer>>& answers,
                            GenerationStats& stats) const {
  std::vector<GenerationRequest> requests;
  for (const size_t i : which) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt = rendered[i].sequence.prefix;
    request.prompt_id = inquiries[i].prompt_id;
    request.parent_sample = inquiries[i].sample;
    request.suffixes = rendered[i].sequence.branches;
  }
  GenerationStats own;
  const auto sequences =
      generate(model_, requests, params(inquiries[which.front()].key), limits_, &own);
  stats += own;
  for (size_t r = 0; r < which.size(); ++r) {
    const size_t i = which[r];
    for (size_t branch = 0; branch < sequences[r].size(); ++branch) {
      const size_t question = rendered[i].questions[branch];
      answers[i][question] = read(inquiries[i].questions[question], sequences[r][branch]);
    }
  }
}

}  // namespace caprl
