#include "ops/library_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace caprl::ops {
namespace {

/// Multiplications from which on oneDNN is the quicker one.
constexpr double kLarge = 1 << 24;

/// Not in every build of LibTorch.
const std::optional<c10::OperatorHandle>& onednn_linear() {
  static const auto found =
      c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  return found;
}

bool is_large(const at::Tensor& x, const at::Tensor& weight) {
  return static_cast<double>(x.numel()) * static_cast<double>(weight.size(0)) >= kLarge;
}

}  // namespace

at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias) {
  const bool is_float = x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 2;
  if (!is_float || !is_large(x, weight) || !onednn_linear()) return at::linear(x, weight, bias);
  const at::AutoDispatchBelowADInplaceOrView below;
  // What follows the product: nothing, with no numbers and no algorithm.
  torch::jit::Stack stack{x,           weight, bias, "none", c10::List<std::optional<at::Scalar>>(),
                          at::IValue()};
  onednn_linear()->callBoxed(stack);
  return stack.front().toTensor();
}

}  // namespace caprl::ops
