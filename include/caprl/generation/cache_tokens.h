// How much generation takes memory for at a time.
#pragma once
#include <cstdint>

#include "caprl/ops/paged_attention.h"

namespace caprl {

/// Numbers of logits that exist at a time.
inline constexpr int64_t kLogitsAtATime = int64_t{64} << 20;

/// Tokens whose keys and values there are, at most, of one request: a prompt and `samples` of it
/// that each read `suffix` tokens and then sample up to `max_new_tokens`. Each begins on a page
/// that others cannot write to, and may leave one unfinished.
inline int64_t cache_tokens(int64_t prompt, int64_t samples, int64_t suffix,
                            int64_t max_new_tokens) {
  return prompt + ops::kKvPageSize + samples * (suffix + max_new_tokens + 2 * ops::kKvPageSize);
}

}  // namespace caprl
