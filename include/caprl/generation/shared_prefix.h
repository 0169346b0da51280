// Prompts that begin alike, as a prefix and its branches.
#pragma once
#include <cstdint>
#include <vector>

namespace caprl {

/// Tokens that all prompts begin with, at least `left` of each left over: what is sampled after a
/// suffix needs one. Found in the ids, so that it is exact however the tokenizer merges what meets
/// at the border.
int64_t shared_length(const std::vector<std::vector<int64_t>>& prompts, int64_t left = 1);

}  // namespace caprl
