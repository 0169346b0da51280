// Passes over one row of logits.
#pragma once
#include <cstdint>
#include <span>

#include "caprl/core/philox.h"

namespace caprl {

/// NaN is passed over, here and in arg_max.
float highest_of(std::span<const float> logits);
/// The lowest index of the highest.
int64_t arg_max(std::span<const float> logits);
/// ln Σ exp; NaN if a logit is NaN or +∞, or all are −∞.
double log_sum_exp(std::span<const float> logits);

/// arg-max of logit + Gumbel noise: a draw from the softmax (Gumbel 1954; Maddison et al., NeurIPS
/// 2014). The noise of token v is made of word v mod 4 of the block at counter (position, v / 4).
int64_t gumbel_arg_max(std::span<const float> logits, const CounterRng& rng, uint64_t position);
/// The same among some tokens only.
int64_t gumbel_arg_max(std::span<const float> logits, std::span<const int64_t> ids,
                       const CounterRng& rng, uint64_t position);

}  // namespace caprl
