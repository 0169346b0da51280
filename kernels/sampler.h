// Rows of logits → one token each and its log-probability: greedy, or a draw among what the filters
// leave.
#pragma once
#include <cstdint>

#include "kernels/stream.h"

namespace caprl::kernels {

/// Device pointers; N rows, V tokens, 0 < V < 2^24. Rows are `stride` ≥ V logits apart. Any
/// alignment; wide access where every row begins at a multiple of 16 bytes.
struct SamplerRows {
  const float* logits = nullptr;  // [N, stride]
  int64_t num_rows = 0, vocab = 0, stride = 0;
  /// Token v is banned where bit v mod 32 of word v / 32 is set: [⌈V / 32⌉]; null: no token.
  const uint32_t* banned = nullptr;
  // Where a row's random numbers are (philox_block of kernels/math/philox.h); not read if greedy.
  const uint64_t* keys = nullptr;       // [N]
  const uint64_t* positions = nullptr;  // [N]

  // Out, [N] each.
  int64_t* ids = nullptr;
  float* logprobs = nullptr;
};

struct SamplerTerms {
  double temperature = 1;  // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;       // 0: off
  double top_p = 1;        // in (0, 1]; 1: off; applied after top_k
};

/// Tokens are ranked by x = logit / temperature (greedy: logit) as rounded to float, equal ones by
/// id. Of those that are neither banned nor −∞, top_k keeps the best k and top_p the shortest
/// leading part of these whose weight, Σ eˣ, reaches top_p of theirs. The token is the arg-max of
/// x + gumbel(w) among them (kernels/math/fast_math.h), w being word v mod 4 of the Philox block at
/// counter (position, v / 4); the lower id wins a tie. The log-probability is that of the softmax
/// of x over the whole vocabulary, whatever is banned or filtered.
///
/// A row that holds NaN or +∞ after the division, or no token that can be sampled, gets id −1 and
/// log-probability NaN.
///
/// Weights relative to the best token's are integers in units of 2^-40, so that sums do not depend
/// on their order: results repeat to the bit. The weight of a token d below the best is off by at
/// most (3 + 0.6 d) · 1e-7 of itself and half a unit. What top_p keeps is therefore exactly right
/// for a top_p no more than 3e-6 + V · 2^-40 away, and tokens lighter than half a unit are never
/// needed to reach it.
void sample_rows(const SamplerRows& rows, const SamplerTerms& terms, Stream stream);

}  // namespace caprl::kernels
