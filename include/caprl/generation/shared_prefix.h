// Prompts that begin alike, as a prefix and its branches.
#pragma once
#include <cstdint>
#include <vector>

namespace caprl {

/// Tokens that all prompts begin with, at least one of each left over. Found in the ids, so that it
/// is exact however the tokenizer merges what meets at the border.
int64_t shared_length(const std::vector<std::vector<int64_t>>& prompts);

}  // namespace caprl
