#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// In the order of the config and of the sum.
constexpr std::unique_ptr<RewardTerm> (*kRegistry[])() = {
    make_length_term,     make_repetition_term, make_self_praise_term, make_format_term,
    make_abstention_term, make_judge_term,      make_external_term,
};

}  // namespace

RewardTerms::RewardTerms() {
  for (const auto make : kRegistry) terms_.push_back(make());
}

RewardTerms::RewardTerms(const RewardTerms& other) {
  for (const auto& term : other.terms_) terms_.push_back(term->clone());
}

RewardTerms& RewardTerms::operator=(const RewardTerms& other) {
  if (this != &other) *this = RewardTerms(other);
  return *this;
}

void RewardTerms::fields(ConfigVisitor& v) {
  for (const auto& term : terms_) v.section(term->name(), *term, term->doc());
}

void RewardTerms::validate() const {
  for (const RewardTerm* term : active()) term->validate();
}

void RewardTerms::open(const TermContext& context) {
  for (const auto& term : terms_)
    if (term->is_on()) term->open(context);
}

std::vector<const RewardTerm*> RewardTerms::active() const {
  std::vector<const RewardTerm*> active;
  for (const auto& term : terms_)
    if (term->is_on()) active.push_back(term.get());
  return active;
}

}  // namespace caprl
