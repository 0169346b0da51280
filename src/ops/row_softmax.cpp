#include "ops/row_softmax.h"

#include <ATen/ATen.h>

#include <utility>

#include "ops/cpu/operations.h"
#include "ops/elements.h"

namespace caprl::ops {

RowSoftmax::RowSoftmax(at::Tensor logits, at::Tensor targets, double temperature)
    : logits_(std::move(logits)),
      targets_(std::move(targets)),
      temperature_(temperature),
      on_kernels_(cpu::has_kernels(logits_)) {
  if (!on_kernels_) {
    compose();
    return;
  }
  logits_ = logits_.contiguous();
  targets_ = targets_.contiguous();
  for (at::Tensor* of_rows : {&highest_, &sum_, &logprobs_, &entropy_})
    *of_rows = at::empty({logits_.size(0)}, logits_.options());
  cpu::softmax(rows(), logits_.size(0));
}

at::Tensor RowSoftmax::backward(const at::Tensor& active, const at::Tensor& d_logp,
                                const at::Tensor& bonus) && {
  if (!on_kernels_) return compose_backward(active, d_logp, bonus);
  const at::Tensor of_logprobs = d_logp.contiguous(),
                   of_entropy = bonus.defined() ? bonus.contiguous() : bonus;
  const int64_t count = active.numel();
  cpu::softmax_backward(
      {rows(), count, data<int64_t>(active), data<float>(of_logprobs), data<float>(of_entropy)});
  return logits_.narrow(0, 0, count);
}

cpu::SoftmaxRows RowSoftmax::rows() const {
  return {logits_.size(1),        static_cast<float>(temperature_),
          data<float>(logits_),   data<int64_t>(targets_),
          data<float>(highest_),  data<float>(sum_),
          data<float>(logprobs_), data<float>(entropy_)};
}

void RowSoftmax::compose() {
  if (temperature_ != 1.0) logits_.div_(temperature_);
  log_probs_ = at::log_softmax(logits_, 1);
  logprobs_ = log_probs_.gather(1, targets_.unsqueeze(1)).squeeze(1);
  at::exp_out(logits_, log_probs_);
  entropy_ =  // Σ p log p of each row, without a tensor of the products
      at::bmm(logits_.unsqueeze(1), log_probs_.unsqueeze(2)).view({-1}).neg();
}

/// p (bonus (log p + entropy) − d_logp), and d_logp at the target.
at::Tensor RowSoftmax::compose_backward(const at::Tensor& active, const at::Tensor& d_logp,
                                        const at::Tensor& bonus) {
  const auto pick = [&](const at::Tensor& t) { return t.index_select(0, active); };
  const at::Tensor c = pick(d_logp).unsqueeze(1);
  at::Tensor gradient = pick(logits_);
  if (bonus.defined()) {
    const at::Tensor inner = pick(log_probs_) + pick(entropy_).unsqueeze(1);
    gradient.mul_(inner * pick(bonus).unsqueeze(1) - c);
  } else {
    gradient.mul_(-c);
  }
  gradient.scatter_add_(1, pick(targets_).unsqueeze(1), c);
  if (temperature_ != 1.0) gradient.div_(temperature_);
  return gradient;
}

}  // namespace caprl::ops
