// The registered terms of the reward, a file each.
#pragma once
#include <memory>

#include "caprl/reward/term.h"

namespace caprl {

/// Copies of a term, for a class that can be copied.
template <class Term, class Base>
class TermOf : public Base {
 public:
  std::unique_ptr<RewardTerm> clone() const override {
    return std::make_unique<Term>(static_cast<const Term&>(*this));
  }
};

std::unique_ptr<RewardTerm> make_length_term();
std::unique_ptr<RewardTerm> make_repetition_term();
std::unique_ptr<RewardTerm> make_self_praise_term();
std::unique_ptr<RewardTerm> make_format_term();
std::unique_ptr<RewardTerm> make_abstention_term();
std::unique_ptr<RewardTerm> make_judge_term();
std::unique_ptr<RewardTerm> make_external_term();

}  // namespace caprl
