// AdamW: one thread updates four neighbouring parameters.
//
// Idea: the step reads 16 bytes a parameter and writes 12, or 14 with bf16 weights, and computes
// little, so all that counts is bandwidth. Nothing is read or written twice: the clipping factor is
// applied as gradients come in, decay, both moments, the update and the rounding to bf16 happen in
// registers. A thread has 4 loads of 16 bytes in flight; at 1536 threads that is 96 KB a
// multiprocessor, three times what memory needs to stay busy. IEEE division and root fit into the
// time that the bytes take. Blocks are many and short, so that they even out.
#include "kernels/adamw.h"

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kThreads = 256;

/// `kSize` neighbours: a Pack, or one value where pointers are not aligned.
template <int kSize>
struct alignas(kSize * sizeof(float)) Floats {
  float values[kSize];
};
template <int kSize>
struct alignas(kSize * sizeof(Bf16)) Rounded {
  Bf16 values[kSize];
};

template <class Unit, class T>
__device__ Unit& unit(T* values, int64_t index) {
  return reinterpret_cast<Unit*>(values)[index];
}

template <int kSize>
__device__ void update_unit(const AdamWRun& run, int64_t index, const AdamWCoefficients& c) {
  using In = Floats<kSize>;
  const In gradient = unit<const In>(run.gradient, index);
  In master = unit<In>(run.master, index), m = unit<In>(run.exp_avg, index),
     v = unit<In>(run.exp_avg_sq, index);
  Rounded<kSize> rounded;
  for (int i = 0; i < kSize; ++i) {
    adamw_update(gradient.values[i], master.values[i], m.values[i], v.values[i], c);
    rounded.values[i] = to_bf16(master.values[i]);
  }
  unit<In>(run.master, index) = master;
  unit<In>(run.exp_avg, index) = m;
  unit<In>(run.exp_avg_sq, index) = v;
  if (run.weights) unit<Rounded<kSize>>(run.weights, index) = rounded;
}

/// Thread i updates unit i; the threads after the last whole unit one parameter each.
template <int kSize>
__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamWRun run, AdamWCoefficients c) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t num_units = run.size / kSize, num_left = run.size % kSize;
  if (thread < num_units)
    update_unit<kSize>(run, thread, c);
  else if (thread - num_units < num_left)
    update_unit<1>(run, num_units * kSize + (thread - num_units), c);
}

template <int kSize>
void launch_adamw(const AdamWRun& run, const AdamWTerms& terms, Stream stream) {
  const int64_t num_threads = run.size / kSize + run.size % kSize;
  const auto blocks = static_cast<unsigned>((num_threads + kThreads - 1) / kThreads);
  launch(adamw_kernel<kSize>, dim3(blocks), kThreads, 0, stream, run, AdamWCoefficients(terms));
}

}  // namespace

void adamw(const AdamWRun& run, const AdamWTerms& terms, Stream stream) {
  const bool rounded_aligned = reinterpret_cast<uintptr_t>(run.weights) % sizeof(Rounded<4>) == 0;
  if (rounded_aligned && aligned16(run.gradient, run.master, run.exp_avg, run.exp_avg_sq))
    launch_adamw<4>(run, terms, stream);
  else
    launch_adamw<1>(run, terms, stream);
}

}  // namespace caprl::kernels
