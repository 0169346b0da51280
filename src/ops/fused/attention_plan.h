// How the kernels divide the attention of a forward pass, the same for all of its layers.
#pragma once
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "caprl/ops/paged_attention.h"
#include "caprl/ops/sequence_attention.h"

namespace caprl::ops::fused {

/// Chunks of at most this many tokens go through the paged kernel, others over keys and values that
/// are gathered from their pages.
inline constexpr int64_t kShortChunk = 128;

struct AttentionPlan {
  AttentionPlan(const PagedBatch& batch, int64_t tokens_of_a_part, at::Device device);

  at::Tensor slots;         // [N] int64: places of all tokens' keys
  at::Tensor short_tokens;  // [M] int64, those of short chunks; undefined: all
  int64_t num_short = 0;    // M

  // Of long chunks.
  at::Tensor long_tokens;  // int64; undefined: all
  at::Tensor
      long_places;  // int64: page · kKvPageSize + offset of every key that they see, in order
  Sequences long_queries, long_keys;

  // Of the kernel (kernels/paged_attention.h), in one int32 tensor on the device: as many as
  // there is room for, more than needed where passes are recorded.
  at::Tensor numbers;
  int64_t tokens_of_a_part;
  int64_t num_parts = 0, num_slots = 0;
  const int32_t* parts() const;
  const int32_t* lengths() const;      // [M]
  const int32_t* first_slots() const;  // [M + 1]

 private:
  void plan_long(std::span<const PagedChunk> chunks, at::Device device);
};

}  // namespace caprl::ops::fused
