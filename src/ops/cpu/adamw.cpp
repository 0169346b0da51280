// AdamW in one reading of gradient, parameters and moments.
#include <string.h>

#include "ops/cpu/isa.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kAtOnce = 16;

/// `count` parameters from `begin` on. Always kAtOnce are computed: what a compiler makes of a
/// loop's rest may round otherwise.
CAPRL_ALWAYS_INLINE void update(const kernels::AdamWRun& run, const kernels::AdamWCoefficients& c,
                                int64_t begin, int64_t count) {
  float gradient[kAtOnce] = {}, master[kAtOnce] = {}, m[kAtOnce] = {}, v[kAtOnce] = {};
  const auto bytes = static_cast<size_t>(count) * sizeof(float);
  memcpy(gradient, run.gradient + begin, bytes);
  memcpy(master, run.master + begin, bytes);
  memcpy(m, run.exp_avg + begin, bytes);
  memcpy(v, run.exp_avg_sq + begin, bytes);
  for (int64_t i = 0; i < kAtOnce; ++i)
    kernels::adamw_update(gradient[i], master[i], m[i], v[i], c);
  memcpy(run.master + begin, master, bytes);
  memcpy(run.exp_avg + begin, m, bytes);
  memcpy(run.exp_avg_sq + begin, v, bytes);
  if (!run.weights) return;
  Bf16 weights[kAtOnce];
  for (int64_t i = 0; i < kAtOnce; ++i) weights[i] = kernels::to_bf16(master[i]);
  memcpy(run.weights + begin, weights, static_cast<size_t>(count) * sizeof(Bf16));
}

}  // namespace

void adamw(const kernels::AdamWRun& run, const kernels::AdamWCoefficients& c, int64_t first,
           int64_t last) {
  int64_t begin = first;
  for (; begin + kAtOnce <= last; begin += kAtOnce) update(run, c, begin, kAtOnce);
  if (begin < last) update(run, c, begin, last - begin);
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
