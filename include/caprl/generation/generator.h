// Sampling from the very weights that are trained.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "caprl/core/philox.h"
#include "caprl/models/model.h"

namespace caprl {

struct SamplingParams {
  double temperature = 1.0;     // 0: greedy
  int64_t top_k = 0;            // 0: off
  double top_p = 1.0;           // 1: off
  int64_t max_new_tokens = 0;
  std::vector<int64_t> stop_ids;    // generation ends after one of them, which is kept
  std::vector<int64_t> banned_ids;  // never sampled
  uint64_t seed = 0;
  uint64_t step = 0;
  RandomPurpose purpose = RandomPurpose::kTokenSampling;
};

/// One prompt and the continuations wanted of it. All samples share the prompt's keys and values.
struct GenerationRequest {
  Prompt prompt;
  uint64_t prompt_id = 0;
  /// Tokens to read after the prompt before sampling, one entry a sample; its size is the number of samples. Entries may be empty.
  std::vector<std::vector<int64_t>> suffixes;
};

struct GeneratedSequence {
  std::vector<int64_t> ids;      // the stop token included
  std::vector<float> logprobs;   // of each id under the model at the sampling temperature, over the whole vocabulary
  bool stopped = false;          // false: the limit was hit
};

/// Sampling is a pure function of (weights, seed, step, prompt id, sample index, position): Gumbel-max over Philox.
/// Results come in request order: [requests][samples].
std::vector<std::vector<GeneratedSequence>> generate(const Model& model, std::span<const GenerationRequest> requests,
                                                     const SamplingParams& params);

}  // namespace caprl
