// The policy loss whose ratio is a whole sequence's.
#include <ATen/ATen.h>

#include "kernels/math/policy_math.h"
#include "ops/loss_rows.h"
#include "ops/policy_loss_checks.h"

namespace caprl::ops {
namespace {

/// Of every sequence, on the host in fp64: a few numbers each.
struct SequenceTerms {
  at::Tensor loss, d_mean, ratio, clipped;  // [S]; d_mean = d loss / d mean log-probability
};

SequenceTerms sequence_terms(const at::Tensor& log_ratio, const at::Tensor& advantages,
                             const PolicyLossOptions& options) {
  const kernels::PolicyTerms<double> terms{options.clip_ratio_low, options.clip_ratio_high,
                                           options.clip_ratio_c, kernels::Kl::kNone, 0};
  const int64_t count = log_ratio.numel();
  SequenceTerms out{at::empty_like(log_ratio), at::empty_like(log_ratio), at::empty_like(log_ratio),
                    at::empty({count}, at::kBool)};
  for (int64_t s = 0; s < count; ++s) {
    const auto token = kernels::policy_token_loss(log_ratio.const_data_ptr<double>()[s], 0.0, 0.0,
                                                  advantages.const_data_ptr<double>()[s], terms);
    out.loss.data_ptr<double>()[s] = token.loss;
    out.d_mean.data_ptr<double>()[s] = token.d_logp;
    out.ratio.data_ptr<double>()[s] = token.ratio;
    out.clipped.data_ptr<bool>()[s] = token.clipped;
  }
  return out;
}

/// Sums of rows by sequence, and the way back.
class BySequence {
 public:
  explicit BySequence(const at::Tensor& sequences)
      : index_(sequences.to(at::kCPU)),
        count_(index_.numel() == 0 ? 0 : index_.max().item<int64_t>() + 1) {}

  at::Tensor sum(const at::Tensor& rows) const {
    return at::zeros({count_}, at::kDouble).index_add_(0, index_, rows);
  }
  at::Tensor spread(const at::Tensor& values) const { return values.index_select(0, index_); }

 private:
  at::Tensor index_;
  int64_t count_;
};

}  // namespace

// d/d logp_t of Σ_u w_u f(s) is (Σ_u w_u) f'(s) s / n for each of the n rows that s is the mean of:
// a row's gradient is that of a strictly on-policy token with a suitable advantage.
PolicyLossResult sequence_policy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                                      const PolicyLossInput& input, const at::Tensor& sequences,
                                      const PolicyLossOptions& options,
                                      const at::Tensor& head_gradient) {
  check_terms(input, options);
  check_sequences(input.targets, sequences);
  const auto host = [](const at::Tensor& t) { return t.detach().to(at::kCPU, at::kDouble); };
  const at::Tensor weights = host(input.weights), used = (weights != 0).to(at::kDouble);
  const auto masked = [&](const at::Tensor& rows) { return at::where(used > 0, rows, 0.0); };
  const BySequence by(sequences);
  const at::Tensor lengths = by.sum(used).clamp_min_(1);
  at::Tensor log_ratio = at::zeros_like(lengths);
  if (input.old_logprobs.defined()) {
    const at::Tensor logprobs = token_logprobs(hidden, head_weight, input.targets,
                                               options.temperature, options.chunk_tokens);
    log_ratio = by.sum(masked(host(logprobs) - host(input.old_logprobs))) / lengths;
  }
  const at::Tensor advantages = by.sum(masked(host(input.advantages))) / lengths;
  const SequenceTerms terms = sequence_terms(log_ratio, advantages, options);

  const at::Tensor d_logp = by.spread(by.sum(weights) * terms.d_mean / lengths);
  PolicyLossInput tokens = input;
  tokens.old_logprobs = at::Tensor();
  tokens.advantages = at::where(used > 0, -d_logp / weights, 0.0).to(input.advantages.options());
  PolicyLossResult result = policy_loss(hidden, head_weight, tokens, options, head_gradient);

  const at::Tensor value =
      masked(weights * (by.spread(terms.loss) + host(tokens.advantages))).sum();
  result.loss = result.loss + value.to(result.loss.device(), result.loss.scalar_type());
  result.ratio = at::where(used > 0, by.spread(terms.ratio), 1.0).to(result.ratio.options());
  result.clipped = (by.spread(terms.clipped).logical_and(used > 0)).to(result.clipped.options());
  return result;
}

}  // namespace caprl::ops
