// One thread joins 8 values of a head of a row: a read of both, a write of one. The first of a
// head's threads writes its log-sum-exp, which the others may have yet to read: all of a head's
// threads are in one block and wait before it does.
#include "kernels/attention_join.h"

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kThreads = 256;

/// `heads` heads a block, `lanes` threads each.
__global__ void __launch_bounds__(kThreads) join_kernel(AttentionJoin a, int lanes, int heads) {
  const int own = static_cast<int>(threadIdx.x) / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int64_t number = int64_t{blockIdx.x} * heads + own;  // of a row's head
  const bool real = own < heads && number < a.num_rows * a.num_heads;
  const int64_t row = real ? number / a.num_heads : 0, head = real ? number % a.num_heads : 0;
  float* const lse = a.lse + head * a.lse_stride + row;
  const float mine = real ? *lse : 0.0f;
  const float other = real ? a.other_lse[head * a.other_lse_stride + row] : 0.0f;
  const float top = mine > other ? mine : other;
  const float both = top == -INFINITY ? top : top + logf(expf(mine - top) + expf(other - top));
  const float share = both == -INFINITY ? 0.0f : expf(mine - both);
  const float rest = both == -INFINITY ? 0.0f : expf(other - both);
  if (real) {
    const int64_t place = number * a.head_dim + int64_t{lane} * Pack<Bf16>::kSize;
    Pack<Bf16> out = load_pack(a.out + place);
    const Pack<Bf16> added = load_pack(a.other + place);
#pragma unroll
    for (int i = 0; i < Pack<Bf16>::kSize; ++i)
      out.values[i] = to_bf16(share * to_float(out.values[i]) + rest * to_float(added.values[i]));
    store_pack(a.out + place, out);
  }
  __syncthreads();
  if (real && lane == 0) *lse = both;
}

}  // namespace

void attention_join(const AttentionJoin& a, Stream stream) {
  const int64_t count = a.num_rows * a.num_heads;
  if (count == 0) return;
  const int lanes = static_cast<int>(a.head_dim) / Pack<Bf16>::kSize, heads = kThreads / lanes;
  launch(join_kernel, dim3(static_cast<unsigned>((count + heads - 1) / heads)), kThreads, 0, stream,
         a, lanes, heads);
}

}  // namespace caprl::kernels
