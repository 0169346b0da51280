// From tensors to the element types of kernels.
#pragma once
#include <ATen/core/Tensor.h>

#include "caprl/core/error.h"
#include "kernels/math/bf16.h"

namespace caprl::ops {

/// The data of a float or bfloat16 tensor; null for an undefined one.
template <class T>
T* data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

/// work(T()) with the kernels' element type T of a dtype.
template <class Work>
decltype(auto) with_element(at::ScalarType dtype, Work&& work) {
  if (dtype == at::kFloat) return work(float());
  if (dtype == at::kBFloat16) return work(kernels::Bf16());
  throw Error("[kernels] expected float or bfloat16, got {}", c10::toString(dtype));
}

}  // namespace caprl::ops
