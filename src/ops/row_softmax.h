// The loss head's softmax over rows of logits at a temperature: on the CPU's kernels, or composed
// of ATen's operations.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/cpu/kernels.h"

namespace caprl::ops {

class RowSoftmax {
 public:
  /// Logits [C, V] of float or double, which are taken over; targets [C] int64.
  RowSoftmax(at::Tensor logits, at::Tensor targets, double temperature);

  const at::Tensor& logprobs() const { return logprobs_; }  // [C] of the targets
  const at::Tensor& entropy() const { return entropy_; }    // [C]

  /// [A, V], on kernels in the place of the logits: for `active` rows [A] int64, ascending, the
  /// gradients of Σ d_logp · logprob − Σ bonus · entropy. d_logp and bonus [C]; bonus undefined: 0.
  at::Tensor backward(const at::Tensor& active, const at::Tensor& d_logp,
                      const at::Tensor& bonus) &&;

 private:
  void compose();
  at::Tensor compose_backward(const at::Tensor& active, const at::Tensor& d_logp,
                              const at::Tensor& bonus);
  cpu::SoftmaxRows rows() const;

  at::Tensor logits_, targets_;
  double temperature_;
  bool on_kernels_;
  at::Tensor logprobs_, entropy_;
  at::Tensor highest_, sum_;  // [C], of the kernels
  at::Tensor log_probs_;      // [C, V], of the composition; probabilities in the logits' place
};

}  // namespace caprl::ops
