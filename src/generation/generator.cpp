#include "caprl/generation/generator.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/core/error.h"
#include "sampler.h"
#include "wave.h"

namespace caprl {
namespace {

void check(std::span<const GenerationRequest> requests, const SamplingParams& params) {
  if (params.max_new_tokens < 1)
    throw Error("[generate] expected max_new_tokens ≥ 1, got {}", params.max_new_tokens);
  for (const GenerationRequest& request : requests)
    if (request.prompt.ids.empty() && !request.suffixes.empty())
      throw Error("[generate] prompt {} has no tokens", request.prompt_id);
}

/// Fills waves up to the token budget with whole requests, and with parts of those that exceed it
/// alone.
class WavePlanner {
 public:
  explicit WavePlanner(const SamplingParams& params)
      : budget_(params.max_batch_tokens), max_new_tokens_(params.max_new_tokens) {}

  void add(int64_t index, const GenerationRequest& request) {
    const auto prompt = static_cast<int64_t>(request.prompt.ids.size());
    int64_t whole = prompt;
    for (const auto& suffix : request.suffixes) whole += sample_tokens(suffix);
    if (used_ + whole > budget_) begin_wave();
    WavePart part{index, 0, 0};
    used_ += prompt;
    for (const auto& suffix : request.suffixes) {
      if (used_ + sample_tokens(suffix) > budget_ && part.num_samples > 0) {
        waves_.back().push_back(part);
        begin_wave();
        part = {index, part.first_sample + part.num_samples, 0};
        used_ = prompt;
      }
      used_ += sample_tokens(suffix);
      ++part.num_samples;
    }
    if (part.num_samples > 0) waves_.back().push_back(part);
  }

  const std::vector<std::vector<WavePart>>& waves() const { return waves_; }

 private:
  int64_t sample_tokens(const std::vector<int64_t>& suffix) const {
    return static_cast<int64_t>(suffix.size()) + max_new_tokens_;
  }
  void begin_wave() {
    if (!waves_.back().empty()) waves_.emplace_back();
    used_ = 0;
  }

  int64_t budget_, max_new_tokens_;
  int64_t used_ = 0;
  std::vector<std::vector<WavePart>> waves_{1};
};

}  // namespace

std::vector<std::vector<GeneratedSequence>> generate(const Model& model,
                                                     std::span<const GenerationRequest> requests,
                                                     const SamplingParams& params) {
  at::NoGradGuard no_grad;
  check(requests, params);
  const Sampler sampler(params, model.head_weight());
  WavePlanner planner(params);
  std::vector<std::vector<GeneratedSequence>> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].resize(requests[i].suffixes.size());
    planner.add(static_cast<int64_t>(i), requests[i]);
  }
  for (const auto& parts : planner.waves())
    if (!parts.empty()) Wave(model, sampler, params, requests, parts, results).run();
  return results;
}

}  // namespace caprl
