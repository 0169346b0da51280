#include "kernels/primitives.h"

#include <device_matrix.h>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

template <class T>
__global__ void shuffle_kernel(Shuffles<T> s) {
  const int i = static_cast<int>(threadIdx.x);
  const T value = s.in[i];
  s.from_lane[i] = __shfl_sync(kAllLanes, value, s.argument + i, s.width);
  s.from_xor[i] = __shfl_xor_sync(kAllLanes, value, s.argument, s.width);
  s.from_up[i] = __shfl_up_sync(kAllLanes, value, s.argument, s.width);
  s.from_down[i] = __shfl_down_sync(kAllLanes, value, s.argument, s.width);
}

__global__ void vote_kernel(Votes v) {
  const int i = static_cast<int>(threadIdx.x);
  v.ballot[i] = __ballot_sync(kAllLanes, v.in[i]);
  v.any[i] = __any_sync(kAllLanes, v.in[i]) != 0;
  v.all[i] = __all_sync(kAllLanes, v.in[i]) != 0;
  v.ballot_of_half[i] = __ballot_sync(i % 2 == 0 ? 0x55555555u : 0xaaaaaaaau, v.in[i]);
}

template <class T>
__global__ void reduction_kernel(const T* in, T* out) {
  const T value = in[blockIdx.x * blockDim.x + threadIdx.x];
  const T sum = block_reduce(value, Add(), T(0));
  const T largest = block_reduce(value, Max(), T(-1000000));
  const T again = block_reduce(value, Add(), T(0));
  // Any thread may write, for all have the results.
  if (threadIdx.x + 1 != blockDim.x) return;
  out[3 * blockIdx.x] = sum;
  out[3 * blockIdx.x + 1] = largest;
  out[3 * blockIdx.x + 2] = again;
}

__global__ void bit_kernel(const unsigned* xs, const unsigned* ys, unsigned* out) {
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  const unsigned x = xs[i], y = ys[i];
  const unsigned long long wide = (static_cast<unsigned long long>(x) << 32) | y;
  const unsigned results[kNumBitFunctions] = {
      static_cast<unsigned>(__popc(x)),
      static_cast<unsigned>(__popcll(wide)),
      static_cast<unsigned>(__clz(static_cast<int>(x))),
      static_cast<unsigned>(__clzll(static_cast<long long>(wide))),
      static_cast<unsigned>(__ffs(static_cast<int>(x))),
      static_cast<unsigned>(__ffsll(static_cast<long long>(wide))),
      __umulhi(x, y),
      static_cast<unsigned>(__umul64hi(wide, wide) >> 32),
      __float_as_uint(__uint_as_float(x & 0x3fffffffu)),
      static_cast<unsigned>(__float_as_int(__int_as_float(static_cast<int>(y & 0x3fffffffu)))),
      max(x, y) - min(x, y)};
  for (int k = 0; k < kNumBitFunctions; ++k) out[k * n + i] = results[k];
}

__global__ void float_kernel(const float* xs, const float* ys, float* out) {
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  const float x = xs[i], y = __ldg(ys + i);
  const float results[kNumFloatFunctions] = {
      rsqrtf(x), __expf(x),        __logf(x),    __log2f(x),    __sinf(x),         __cosf(x),
      exp2f(x),  __fdividef(x, y), __frcp_rn(x), __fsqrt_rn(x), __fmaf_rn(x, y, x)};
  for (int k = 0; k < kNumFloatFunctions; ++k) out[k * n + i] = results[k];
}

__global__ void atomic_kernel(Atomics a) {
  const int value = a.values[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(a.sum, value);
  atomicMax(a.max, value);
  atomicMin(a.min, value);
  atomicMax(a.unsigned_max, static_cast<unsigned>(value));
  atomicAdd(a.wide_sum, 0x100000000ull);
  atomicAdd(a.float_sum, 1.0f);
}

__global__ void place_kernel(int64_t* out) {
  const int64_t block =
      (static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t place = block * blockDim.x + threadIdx.x;
  out[place] = place;
}

__global__ void reversal_kernel(const float* in, float* out) {
  CAPRL_DYNAMIC_SHARED(float, values);
  const unsigned i = threadIdx.x, n = blockDim.x;
  values[i] = in[blockIdx.x * n + i];
  __syncthreads();
  out[blockIdx.x * n + i] = values[n - 1 - i];
}

__global__ void exchange_kernel(const int* in, int* out, int rounds) {
  __shared__ int values[1024];
  const unsigned i = threadIdx.x;
  values[i] = in[i];
  for (int round = 0; round < rounds; ++round) {
    __syncwarp();
    const int sum = values[i] + values[i ^ 1u];
    __syncwarp();
    values[i] = sum;
  }
  out[i] = values[i];
}

__global__ void matrix_kernel(const Bf16* a, const Bf16* b, float* c) {
  __shared__ __align__(16) Bf16 rows[16][8];
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  if (lane < 16) {
    copy_async(rows[lane], b + 8 * lane);
    end_async_copies();
  }
  wait_async_copies<0>();
  __syncwarp();
  const auto word = [&](int row, int column) {
    const Bf16* values = a + 16 * row + column;
    return values[0].bits | static_cast<uint32_t>(values[1].bits) << 16;
  };
  const uint32_t left[4] = {word(g, 2 * t), word(g + 8, 2 * t), word(g, 2 * t + 8),
                            word(g + 8, 2 * t + 8)};
  uint32_t right[4];
  load_transposed(right, rows[lane % 16]);  // both halves of the lanes: the same two matrices
  float out[4];
  for (int i = 0; i < 4; ++i) out[i] = c[8 * (g + i / 2 * 8) + 2 * t + i % 2];
  multiply_add_16x8x16(out, left, {right[0], right[1]});
  for (int i = 0; i < 4; ++i) c[8 * (g + i / 2 * 8) + 2 * t + i % 2] = out[i];
}

}  // namespace

template <class T>
void run_shuffles(const Shuffles<T>& shuffles) {
  launch(shuffle_kernel<T>, 1, shuffles.num_threads, 0, nullptr, shuffles);
}
template void run_shuffles(const Shuffles<int>&);
template void run_shuffles(const Shuffles<unsigned>&);
template void run_shuffles(const Shuffles<float>&);
template void run_shuffles(const Shuffles<double>&);
template void run_shuffles(const Shuffles<int64_t>&);

void run_votes(const Votes& votes) { launch(vote_kernel, 1, votes.num_threads, 0, nullptr, votes); }

template <class T>
void run_block_reductions(const T* in, T* out, int num_blocks, int block) {
  launch(reduction_kernel<T>, static_cast<unsigned>(num_blocks), block, 0, nullptr, in, out);
}
template void run_block_reductions(const int*, int*, int, int);
template void run_block_reductions(const float*, float*, int, int);

void run_bit_functions(const unsigned* x, const unsigned* y, int count, unsigned* out) {
  launch(bit_kernel, 1, count, 0, nullptr, x, y, out);
}
void run_float_functions(const float* x, const float* y, int count, float* out) {
  launch(float_kernel, 1, count, 0, nullptr, x, y, out);
}

void run_atomics(const Atomics& atomics, int num_blocks, int block) {
  launch(atomic_kernel, static_cast<unsigned>(num_blocks), block, 0, nullptr, atomics);
}

void run_grid_places(unsigned x, unsigned y, unsigned z, int block, int64_t* out) {
  launch(place_kernel, dim3(x, y, z), block, 0, nullptr, out);
}

void run_reversal(const float* in, float* out, int num_blocks, int block) {
  launch(reversal_kernel, static_cast<unsigned>(num_blocks), block,
         static_cast<size_t>(block) * sizeof(float), nullptr, in, out);
}

void run_warp_exchange(const int* in, int* out, int block, int rounds) {
  launch(exchange_kernel, 1, block, 0, nullptr, in, out, rounds);
}

void run_matrix_product(const Bf16* a, const Bf16* b, float* c) {
  launch(matrix_kernel, 1, 32, 0, nullptr, a, b, c);
}

}  // namespace caprl::kernels
