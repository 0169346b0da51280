// Sampling from the very weights that are trained.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "caprl/core/philox.h"
#include "caprl/models/model.h"

namespace caprl {

struct SamplingParams {
  double temperature = 1.0;  // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // 1: off; applied after top_k
  int64_t max_new_tokens = 0;
  std::vector<int64_t> stop_ids;    // generation ends after one of them, which is kept
  std::vector<int64_t> banned_ids;  // never sampled
  uint64_t seed = 0;
  uint64_t step = 0;
  RandomPurpose purpose = RandomPurpose::kTokenSampling;
  /// Bound on the tokens (prompts, suffixes, room for what is generated) whose keys and values
  /// exist at a time. Requests that do not fit together are worked on one batch after another, a
  /// request with too many samples in parts; one sample always fits.
  int64_t max_batch_tokens = 262'144;
};

/// One prompt and the continuations wanted of it. All samples share the prompt's keys and values.
struct GenerationRequest {
  Prompt prompt;  // not empty, unless there are no samples
  uint64_t prompt_id = 0;
  /// Tokens to read after the prompt before sampling, one entry a sample; its size is the number of
  /// samples. Entries may be empty.
  std::vector<std::vector<int64_t>> suffixes;
  /// For prompts made of a sample of another prompt (a caption that is asked about): that sample's
  /// index. It is part of the random numbers' address.
  std::optional<uint64_t> parent_sample;
};

struct GeneratedSequence {
  std::vector<int64_t> ids;  // the stop token included
  /// log p of each id under the softmax of logits / temperature (logits where it is 0) over the
  /// whole vocabulary: what training recomputes. Filters and bans change what is sampled, not this.
  std::vector<float> logprobs;
  bool stopped = false;  // false: the limit was hit
};

/// Sampling is a pure function of (weights, seed, step, prompt id, sample index, position): the
/// arg-max of logit / temperature + Gumbel noise, the noise of token id v being word v mod 4 of the
/// Philox block at counter (position, v / 4). Position 0 is the first generated token. Batching,
/// the order of requests and the number of threads change logits by rounding at most. Results come
/// in request order: [requests][samples]. Error if logits are not finite, naming prompt and sample.
/// Called from one thread at a time per model; uses ATen's threads.
std::vector<std::vector<GeneratedSequence>> generate(const Model& model,
                                                     std::span<const GenerationRequest> requests,
                                                     const SamplingParams& params);

}  // namespace caprl
