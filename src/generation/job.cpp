#include "job.h"

#include "caprl/core/error.h"

namespace caprl {

Job::Job(GenerationRequest given, const Model& model) : request(std::move(given)) {
  if (request.prompt.ids.empty())
    throw Error("[generate] prompt {} has no tokens", request.prompt_id);
  positions = model.positions(request.prompt);
  samples.resize(request.suffixes.size());
  num_unfinished = static_cast<int64_t>(samples.size());
}

RequestShape Job::shape(int64_t max_new_tokens) const {
  RequestShape shape{static_cast<int64_t>(request.prompt.ids.size()), {}, max_new_tokens};
  for (const auto& suffix : request.suffixes)
    shape.suffixes.push_back(static_cast<int64_t>(suffix.size()));
  return shape;
}

int64_t Job::token(int64_t sample, int64_t place) const {
  const auto& suffix = request.suffixes[sample];
  const auto index = place - static_cast<int64_t>(request.prompt.ids.size());
  const auto length = static_cast<int64_t>(suffix.size());
  return index < length ? suffix[index] : samples[sample].ids[index - length];
}

SampleRow Job::sample_row(int64_t sample, const SamplingParams& params) const {
  const auto index = static_cast<uint64_t>(sample);
  const auto rng = [&]() -> CounterRng {
    if (request.parent_sample)
      return {params.seed,
              params.purpose,
              {params.step, request.prompt_id, *request.parent_sample, index}};
    return {params.seed, params.purpose, {params.step, request.prompt_id, index}};
  };
  return {rng(), samples[sample].ids.size(), request.prompt_id, index};
}

}  // namespace caprl
