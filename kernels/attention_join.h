// Two parts of an attention together (Dao, arXiv 2205.14135): what queries have seen of some keys
// and what of others, weighed by their log-sum-exp.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// out = (eᵃ · out + eᵇ · other) / (eᵃ + eᵇ), lse = log(eᵃ + eᵇ), with a the log-sum-exp of `out`
/// before and b that of `other`; −∞: has seen nothing. In float, `out` rounded once.
///
/// Device pointers; out and other 16-byte aligned, D a multiple of 8.
struct AttentionJoin {
  Bf16* out = nullptr;               // [N, H, D]
  const Bf16* other = nullptr;       // [N, H, D]
  float* lse = nullptr;              // [H, N], heads `lse_stride` apart
  const float* other_lse = nullptr;  // [H, N], heads `other_lse_stride` apart
  int64_t lse_stride = 0, other_lse_stride = 0;
  int64_t num_rows = 0, num_heads = 0, head_dim = 0;  // N, H, D
};

void attention_join(const AttentionJoin& parts, Stream stream);

}  // namespace caprl::kernels
