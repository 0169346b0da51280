// How many tokens' keys and values generation takes memory for.
#pragma once
#include <cstdint>

#include "caprl/ops/paged_attention.h"

namespace caprl {

/// At most, of one request: a prompt and `samples` of it that each read `suffix` tokens and then
/// sample up to `max_new_tokens`. Each begins on a page that others cannot write to, and may leave
/// one unfinished.
inline int64_t cache_tokens(int64_t prompt, int64_t samples, int64_t suffix,
                            int64_t max_new_tokens) {
  return prompt + ops::kKvPageSize + samples * (suffix + max_new_tokens + 2 * ops::kKvPageSize);
}

}  // namespace caprl
