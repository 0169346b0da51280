// Rows of logits to one token each, on a device that has a kernel for it. On the CPU the sampler of
// the generation module does the same.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace caprl::ops {

struct SampleTerms {
  double temperature = 1;  // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;       // 0: off
  double top_p = 1;        // 1: off; applied after top_k
};

struct SampledRows {
  at::Tensor ids;       // [N] int64; −1: the row is not finite, or no token is left
  at::Tensor logprobs;  // [N] float: under the softmax of logits / temperature, filters aside
};

/// Whether sample_rows works on such logits.
bool samples_on_device(const at::Tensor& logits);

/// One bit a token for sample_rows, on `device`; undefined for no token. Ids in [0, vocab).
at::Tensor banned_bits(std::span<const int64_t> ids, int64_t vocab, at::Device device);

/// logits [N, V] float, V < 2^24. `keys` and `positions` [N] int64 (as bits) say where each row's
/// random numbers are: CounterRng::key() and the token's position. Tokens are those of the CPU's
/// sampler for the same logits, up to ties within rounding (kernels/sampler.h).
SampledRows sample_rows(const at::Tensor& logits, const at::Tensor& banned, const at::Tensor& keys,
                        const at::Tensor& positions, const SampleTerms& terms);

}  // namespace caprl::ops
