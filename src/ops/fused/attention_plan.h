// How the kernels divide the attention of a forward pass, the same for all of its layers.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "caprl/ops/paged_attention.h"

namespace caprl::ops::fused {

/// Chunks of at most this many tokens go through the paged kernel, others one by one through ATen.
inline constexpr int64_t kShortChunk = 16;

struct AttentionPlan {
  AttentionPlan(const PagedBatch& batch, int64_t tokens_of_a_part, at::Device device);

  at::Tensor slots;         // [N] int64: places of all tokens' keys
  at::Tensor short_tokens;  // [M] int64, those of short chunks; undefined: all
  int64_t num_short = 0;    // M
  struct LongChunk {
    int64_t begin = 0;  // its first token in the batch
    PagedChunk chunk;
  };
  std::vector<LongChunk> long_chunks;

  // Of the kernel (kernels/paged_attention.h), in one int32 tensor on the device.
  at::Tensor numbers;
  const int32_t *parts = nullptr, *pages = nullptr, *lengths = nullptr, *first_slots = nullptr;
  int64_t num_parts = 0, num_slots = 0;
};

}  // namespace caprl::ops::fused
