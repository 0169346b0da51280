// Σ x² of a flat buffer: the blocks' sums, then the sum of those.
//
// Idea: one read of the buffer, each thread with 4 loads of 16 bytes in flight (128 KB a
// multiprocessor). Squares are summed in double, one fused multiply-add a value into 4 independent
// sums a thread: an H200 at 4.8 TB/s brings about 5 floats a clock to a multiprocessor, which
// converts 16 to double and multiplies 64 in that time, so double costs nothing and neither
// overflow nor a small share of a long sum is lost. No atomics: stage 2 is one block that adds the
// partial sums in a fixed order.
#include "kernels/squared_norm.h"

#include <algorithm>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kInFlight = 4;  // units that a thread loads before it uses one
// As many as an H200 holds at once; a constant, for the order of the sum hangs on it.
constexpr int64_t kMaxBlocks = 8 * 132;
constexpr int64_t kBlockValues = kThreads * kInFlight * Pack<float>::kSize;

/// A Pack, or one value where the buffer is not aligned.
template <int kSize>
struct alignas(kSize * sizeof(float)) Unit {
  float values[kSize];
};

__device__ void add_square(double& sum, float value) {
  const double x = value;
  sum += x * x;
}

template <int kSize>
__global__ void __launch_bounds__(kThreads)
    partial_kernel(const float* values, int64_t size, double* partial) {
  using In = Unit<kSize>;
  const In* units = reinterpret_cast<const In*>(values);
  const int64_t num_units = size / kSize, first = static_cast<int64_t>(blockIdx.x) * kThreads;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  double sums[4] = {};
  for (int64_t begin = first + threadIdx.x; begin < num_units; begin += kInFlight * step) {
    In in[kInFlight] = {};
    for (int k = 0; k < kInFlight; ++k)
      if (begin + k * step < num_units) in[k] = units[begin + k * step];
    for (int k = 0; k < kInFlight; ++k)
      for (int i = 0; i < kSize; ++i) add_square(sums[kSize == 4 ? i : k % 4], in[k].values[i]);
  }
  const int64_t left = num_units * kSize + threadIdx.x;  // after the last whole unit
  if (blockIdx.x == 0 && left < size) add_square(sums[0], values[left]);
  const double sum = block_reduce((sums[0] + sums[1]) + (sums[2] + sums[3]), Add{}, 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    total_kernel(const double* partial, int num_partial, double* result) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < num_partial; i += kThreads) sum += partial[i];
  sum = block_reduce(sum, Add{}, 0.0);
  if (threadIdx.x == 0) *result = sum;
}

}  // namespace

int64_t squared_norm_workspace(int64_t size) {
  return std::min(kMaxBlocks, (size + kBlockValues - 1) / kBlockValues);
}

void squared_norm(const float* values, int64_t size, double* workspace, double* result,
                  Stream stream) {
  const int64_t num_blocks = squared_norm_workspace(size);
  const auto kernel = aligned16(values) ? partial_kernel<Pack<float>::kSize> : partial_kernel<1>;
  launch(kernel, dim3(static_cast<unsigned>(num_blocks)), kThreads, 0, stream, values, size,
         workspace);
  launch(total_kernel, dim3(1), kThreads, 0, stream, workspace, static_cast<int>(num_blocks),
         result);
}

}  // namespace caprl::kernels
