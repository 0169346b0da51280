// Which sequences of a step run together: train.micro_tokens.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "caprl/train/loss_batch.h"

namespace caprl {

class TokenBudget {
 public:
  explicit TokenBudget(int64_t micro_tokens) : micro_tokens_(micro_tokens) {}

  /// pack_by_tokens() of the sequences. The first one of all that is longer than the budget is
  /// reported, under its `name`: what it needs is beyond what was planned for the budget.
  std::vector<std::vector<size_t>> pack(std::span<const ScoredSequence> sequences,
                                        const std::function<std::string(size_t)>& name);

 private:
  int64_t micro_tokens_;
  bool reported_ = false;
};

}  // namespace caprl
