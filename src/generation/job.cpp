#include "job.h"

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {

Job::Job(GenerationRequest given, const Model& model, const SamplingParams& params)
    : request(std::move(given)) {
  if (request.prompt.ids.empty())
    throw Error("[generate] prompt {} has no tokens", request.prompt_id);
  positions = model.positions(request.prompt);
  samples.resize(request.suffixes.size());
  num_unfinished = static_cast<int64_t>(samples.size());
  if (params.stop_texts.empty()) return;
  if (!params.tokenizer) throw Error("[generate] stop texts need a tokenizer");
  for (GeneratedSequence& sample : samples) {
    streams.push_back(params.tokenizer->stream(true));
    sample.text.emplace();
  }
}

RequestShape Job::shape(int64_t max_new_tokens, int64_t image_token_id) const {
  const std::vector<int64_t>& ids = request.prompt.ids;
  const auto images = std::find(ids.begin(), ids.end(), image_token_id);
  RequestShape shape{std::ssize(ids), {}, max_new_tokens, {ids.begin(), images}};
  for (const auto& suffix : request.suffixes)
    shape.suffixes.push_back(static_cast<int64_t>(suffix.size()));
  return shape;
}

bool Job::has_sample_without_suffix() const {
  return std::ranges::any_of(request.suffixes, &std::vector<int64_t>::empty);
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
  SampleRow row{rng(), samples[sample].ids.size(), request.prompt_id, index, {}};
  if (params.repetition_penalty != 1) row.seen = tokens_seen(sample);
  return row;
}

std::vector<int64_t> Job::tokens_seen(int64_t sample) const {
  std::vector<int64_t> seen = request.prompt.ids;
  seen.insert(seen.end(), request.suffixes[sample].begin(), request.suffixes[sample].end());
  seen.insert(seen.end(), samples[sample].ids.begin(), samples[sample].ids.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  return seen;
}

bool Job::append(int64_t sample, SampledToken token, const SamplingParams& params) {
  GeneratedSequence& result = samples[sample];
  result.ids.push_back(token.id);
  result.logprobs.push_back(token.logprob);
  if (!params.scored_ids.empty()) result.scored_logits.push_back(std::move(token.scored));
  if (params.num_top_logprobs > 0) result.top_logprobs.push_back(std::move(token.top));
  const auto& stops = params.stop_ids;
  result.stopped = std::find(stops.begin(), stops.end(), token.id) != stops.end();
  if (result.text && ends_with_text(sample, params)) result.stopped = true;
  return result.stopped || static_cast<int64_t>(result.ids.size()) == params.max_new_tokens;
}

/// Adds the newest token's text, and cuts it where a stop text begins.
bool Job::ends_with_text(int64_t sample, const SamplingParams& params) {
  GeneratedSequence& result = samples[sample];
  std::string& text = *result.text;
  const size_t known = text.size();
  streams[sample]->push(result.ids.back(), text);
  const bool is_last =
      result.stopped || static_cast<int64_t>(result.ids.size()) == params.max_new_tokens;
  if (is_last) streams[sample]->finish(text);
  size_t cut = std::string::npos;
  for (const std::string& stop : params.stop_texts)
    cut = std::min(cut, text.find(stop, known - std::min(known, stop.size())));
  if (cut == std::string::npos) return false;
  text.resize(cut);
  return true;
}

}  // namespace caprl
