#include "ops/fused/device.h"

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/fused/kernels.h"

namespace caprl::ops::fused {

bool runs_on(const at::Tensor& tensor) {
  return tensor.is_cuda() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

kernels::Stream stream_of(const at::Tensor& tensor) {
  return c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
}

}  // namespace caprl::ops::fused
