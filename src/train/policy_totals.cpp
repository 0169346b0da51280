#include "train/policy_totals.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "caprl/ops/upload.h"
#include "train/share.h"

namespace caprl {

void PolicyTotals::add(const ops::PolicyLossResult& result, const LossBatch& batch,
                       const at::Tensor& old, const at::Tensor& sampled,
                       std::vector<std::string> images) {
  const at::Tensor used = ops::upload(batch.weights, result.loss.device()) > 0;
  const auto sum = [&](const at::Tensor& values) {
    return at::where(used, values.to(at::kDouble), 0.0).sum();
  };
  const at::Tensor none = at::zeros({}, result.loss.options().dtype(at::kDouble));
  at::Tensor most = none, mean = none;
  const int64_t compared = sampled.defined() ? sampled.numel() : 0;
  if (compared > 0) {
    const at::Tensor there = ops::upload(sampled, result.loss.device()).to(at::kDouble);
    const at::Tensor difference = (result.logprobs.to(at::kDouble).exp() - there.exp()).abs();
    most = difference.max();
    mean = difference.mean();
  }
  pending_.push_back({at::stack({result.loss.detach().to(at::kDouble), used.sum().to(at::kDouble),
                                 sum(result.entropy), sum(result.kl), sum(result.clipped),
                                 old.defined() ? sum(old - result.logprobs) : none, most, mean}),
                      compared, std::move(images)});
}

std::vector<std::string> PolicyTotals::settle() {
  std::vector<std::string> not_finite;
  for (const Pending& micro : pending_) {
    const at::Tensor host = micro.numbers.cpu();
    const double* number = host.const_data_ptr<double>();
    if (!std::isfinite(number[0]))
      not_finite.insert(not_finite.end(), micro.images.begin(), micro.images.end());
    for (double* total : {&loss_, &tokens_, &entropy_, &kl_, &clipped_, &ppo_kl_})
      *total += *number++;
    if (micro.compared > 0) probs_diff_.add(number[0], number[1], micro.compared);
  }
  pending_.clear();
  return not_finite;
}

void PolicyTotals::add_other_ranks(const Group& ranks) {
  if (ranks.size() == 1) return;
  const std::vector<double> mine = {loss_,
                                    tokens_,
                                    entropy_,
                                    kl_,
                                    clipped_,
                                    ppo_kl_,
                                    probs_diff_.max(),
                                    probs_diff_.mean(),
                                    static_cast<double>(probs_diff_.count())};
  loss_ = tokens_ = entropy_ = kl_ = clipped_ = ppo_kl_ = 0;
  probs_diff_ = {};
  for (const auto& theirs : gather_numbers(ranks, mine)) {
    size_t i = 0;
    for (double* sum : {&loss_, &tokens_, &entropy_, &kl_, &clipped_, &ppo_kl_})
      *sum += theirs[i++];
    if (theirs[8] > 0) probs_diff_.add(theirs[6], theirs[7], static_cast<int64_t>(theirs[8]));
  }
}

void PolicyTotals::report(double updates, Metrics& metrics) const {
  const double tokens = std::max(tokens_, 1.0);
  metrics["actor/pg_loss"] = loss_ / updates;
  metrics["actor/entropy"] = entropy_ / tokens;
  metrics["actor/kl_loss"] = kl_ / tokens;
  metrics["actor/ppo_kl"] = ppo_kl_ / tokens;
  metrics["actor/pg_clipfrac"] = clipped_ / tokens;
  metrics["training/rollout_probs_diff_max"] = probs_diff_.max();
  metrics["training/rollout_probs_diff_mean"] = probs_diff_.mean();
}

}  // namespace caprl
