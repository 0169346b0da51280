#include "caprl/generation/shared_prefix.h"

#include <algorithm>

namespace caprl {

int64_t shared_length(const std::vector<std::vector<int64_t>>& prompts, int64_t left) {
  const auto& first = prompts.front();
  auto shared = static_cast<int64_t>(first.size());
  for (const auto& prompt : prompts) {
    shared = std::clamp<int64_t>(std::ssize(prompt) - left, 0, shared);
    shared =
        std::mismatch(first.begin(), first.begin() + shared, prompt.begin()).first - first.begin();
  }
  return shared;
}

}  // namespace caprl
