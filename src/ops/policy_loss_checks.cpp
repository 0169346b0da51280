#include "ops/policy_loss_checks.h"

#include <ATen/ATen.h>

#include "caprl/core/error.h"

namespace caprl::ops {

void check_rows(const at::Tensor& hidden, const at::Tensor& head_weight, const at::Tensor& targets,
                double temperature, int64_t chunk_tokens) {
  if (hidden.dim() != 2 || head_weight.dim() != 2 || hidden.size(1) != head_weight.size(1))
    throw Error("[policy_loss] expected hidden [N, H] and head weight [V, H], got {} and {}",
                c10::str(hidden.sizes()), c10::str(head_weight.sizes()));
  if (targets.dim() != 1 || targets.size(0) != hidden.size(0) || targets.scalar_type() != at::kLong)
    throw Error("[policy_loss] expected {} int64 targets, got {}", hidden.size(0),
                c10::str(targets.sizes()));
  const at::ScalarType dtype = hidden.scalar_type();
  if (dtype != head_weight.scalar_type() ||
      (dtype != at::kFloat && dtype != at::kDouble && dtype != at::kBFloat16))
    throw Error(
        "[policy_loss] expected hidden and head weight both float, double or bfloat16, got {} and "
        "{}",
        c10::toString(dtype), c10::toString(head_weight.scalar_type()));
  if (temperature <= 0)
    throw Error("[policy_loss] expected a temperature above 0, got {}", temperature);
  if (chunk_tokens < 1)
    throw Error("[policy_loss] expected chunks of at least 1 token, got {}", chunk_tokens);
  if (targets.numel() == 0) return;
  if (targets.is_cuda()) {  // without waiting for it
    at::_assert_async(targets.ge(0).logical_and(targets.lt(head_weight.size(0))).all(),
                      "[policy_loss] a target is outside the vocabulary");
    return;
  }
  const auto [low, high] = at::aminmax(targets);
  if (low.item<int64_t>() < 0 || high.item<int64_t>() >= head_weight.size(0))
    throw Error("[policy_loss] expected targets from 0 to {}, got {} to {}",
                head_weight.size(0) - 1, low.item<int64_t>(), high.item<int64_t>());
}

void check_terms(const PolicyLossInput& input, const PolicyLossOptions& options) {
  const int64_t count = input.targets.size(0);
  const auto vector = [&](const at::Tensor& t, const char* name, bool needed) {
    if (!t.defined() && !needed) return;
    if (!t.defined() || t.dim() != 1 || t.size(0) != count || !at::isFloatingType(t.scalar_type()))
      throw Error("[policy_loss] expected {} {} of floating point, got {}", count, name,
                  t.defined() ? c10::str(t.sizes(), " of ", t.scalar_type()) : "none");
  };
  vector(input.advantages, "advantages", true);
  vector(input.weights, "weights", true);
  vector(input.old_logprobs, "old log-probabilities", false);
  vector(input.reference_logprobs, "reference log-probabilities", options.kl != KlEstimator::kNone);
  if (options.clip_ratio_c != 0 && !(options.clip_ratio_c > 1))
    throw Error("[policy_loss] expected a clip_ratio_c of 0 (off) or above 1, got {}",
                options.clip_ratio_c);
  if (options.logits_dtype != at::kFloat && options.logits_dtype != at::kBFloat16)
    throw Error("[policy_loss] expected logits of float or bfloat16, got {}",
                c10::toString(options.logits_dtype));
}

void check_head_gradient(const at::Tensor& head_weight, const at::Tensor& head_gradient) {
  if (!head_gradient.defined()) return;
  const auto expected = head_weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (head_gradient.sizes() != head_weight.sizes() || head_gradient.scalar_type() != expected ||
      head_gradient.device() != head_weight.device() || !head_gradient.is_contiguous())
    throw Error(
        "[policy_loss] expected a contiguous head gradient {} of {} on {}, got {} of {} on {}",
        c10::str(head_weight.sizes()), c10::toString(expected), head_weight.device().str(),
        c10::str(head_gradient.sizes()), c10::toString(head_gradient.scalar_type()),
        head_gradient.device().str());
}

void check_sequences(const at::Tensor& targets, const at::Tensor& sequences) {
  if (!sequences.defined() || sequences.sizes() != targets.sizes() ||
      sequences.scalar_type() != at::kLong)
    throw Error("[policy_loss] expected {} int64 sequences, got {}", targets.numel(),
                sequences.defined() ? c10::str(sequences.sizes(), " of ", sequences.scalar_type())
                                    : "none");
  if (sequences.numel() > 0 && sequences.min().item<int64_t>() < 0)
    throw Error("[policy_loss] expected sequences from 0, got {}", sequences.min().item<int64_t>());
}

}  // namespace caprl::ops
