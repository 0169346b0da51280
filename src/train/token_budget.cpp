#include "train/token_budget.h"

#include <algorithm>

#include "caprl/core/log.h"

namespace caprl {

std::vector<std::vector<size_t>> TokenBudget::pack(std::span<const ScoredSequence> sequences,
                                                   const std::function<std::string(size_t)>& name) {
  std::vector<int64_t> sizes;
  for (const ScoredSequence& scored : sequences) sizes.push_back(num_tokens(scored.sequence));
  const auto longest = std::ranges::max_element(sizes);
  if (longest != sizes.end() && *longest > micro_tokens_ && !reported_) {
    const auto i = static_cast<size_t>(longest - sizes.begin());
    reported_ = true;
    log_warning(
        "{}: a prompt of {} tokens and what follows it, {} in all, exceed train.micro_tokens ({}): "
        "they are a pass of their own, which needs more memory than the budget says; further ones "
        "are not reported",
        name(i), sequences[i].sequence.prefix.ids.size(), *longest, micro_tokens_);
  }
  return pack_by_tokens(sizes, micro_tokens_);
}

}  // namespace caprl
