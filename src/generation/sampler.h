// From logits to a token: Gumbel-max over counter-based random numbers.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "caprl/core/philox.h"
#include "caprl/generation/generator.h"

namespace caprl {

/// Whose next token a row of logits is.
struct SampleRow {
  CounterRng rng;                      // of (seed, step, prompt, sample)
  uint64_t position = 0;               // of the token to be sampled; 0 is the first one
  uint64_t prompt_id = 0, sample = 0;  // for messages
  std::vector<int64_t> seen;           // tokens that a repetition penalty is for; all different
};

struct SampledToken {
  int64_t id = 0;
  float logprob = 0;  // see GeneratedSequence
  std::vector<TokenLogprob> top;
  std::vector<float> scored;  // logits of the scored ids
};

/// Immutable; thread safe.
class Sampler {
 public:
  /// head_weight [V, H]. Error for parameters out of range and if no token is left to sample.
  Sampler(const SamplingParams& params, const at::Tensor& head_weight);

  /// hidden [N, H] → one token a row. Logits exist for a bounded number of rows at a time.
  std::vector<SampledToken> sample(const at::Tensor& hidden, std::span<const SampleRow> rows) const;
  /// One row; `logits` [V] are overwritten.
  SampledToken sample_row(std::span<float> logits, const SampleRow& row) const;

 private:
  at::Tensor logits(const at::Tensor& hidden) const;
  void sample_on_host(at::Tensor logits_NV, std::span<const SampleRow> rows,
                      std::span<SampledToken> tokens) const;
  void sample_on_device(const at::Tensor& logits_NV, std::span<const SampleRow> rows,
                        std::span<SampledToken> tokens) const;
  std::vector<int64_t> candidates(std::span<const float> logits) const;
  std::vector<TokenLogprob> likeliest(std::span<const float> logits, double normaliser) const;

  at::Tensor head_VH_;
  at::Tensor banned_bits_;  // on the head's device; only where tokens are sampled there
  float temperature_;       // 1 where sampling is greedy
  bool greedy_;
  int64_t top_k_;
  double top_p_;
  float repetition_penalty_;
  int64_t num_top_logprobs_;
  std::vector<int64_t> banned_, scored_;
};

}  // namespace caprl
