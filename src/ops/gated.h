// silu(gate) · up and its gradients, on kernels where there are some.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>

namespace caprl::ops {

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up);
/// Of gate and up; g of the product.
std::array<at::Tensor, 2> gated_backward(const at::Tensor& gate, const at::Tensor& up,
                                         const at::Tensor& g);
/// The same, and the product again in the place of its gradient.
std::array<at::Tensor, 2> gated_backward_again(const at::Tensor& gate, const at::Tensor& up,
                                               at::Tensor& g);

}  // namespace caprl::ops
