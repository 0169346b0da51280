// Whether operations run on kernels or are composed of ATen's, and where.
#pragma once
#include <ATen/ATen.h>

#include <utility>

namespace caprl {

// Of device_emulated.cpp (kernels on the CPU) or device_cuda.cpp (on a GPU).
void use_kernels(bool yes);
at::Device kernel_device();

inline bool on_kernels = false;

/// On kernels for as long as it lives.
struct OnKernels {
  OnKernels() { use_kernels(on_kernels = true); }
  ~OnKernels() { use_kernels(on_kernels = false); }
};

inline at::Device current_device() { return on_kernels ? kernel_device() : at::Device(at::kCPU); }

/// A leaf of its own where operations run now.
inline at::Tensor here(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  return tensor.detach().clone().to(current_device()).requires_grad_(tensor.requires_grad());
}

/// {what work() gives on kernels, what it gives composed}.
template <class Work>
auto both_ways(Work work) {
  auto composed = work();
  const OnKernels on;
  return std::pair{work(), composed};
}

}  // namespace caprl
