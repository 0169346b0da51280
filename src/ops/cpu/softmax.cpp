// The loss head's softmax over rows of logits, and its gradient.
#include "kernels/math/fast_math.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kAtOnce = 16;
constexpr int64_t kRun = 1024;     // values that are summed in single precision
constexpr float kLowest = -87.0f;  // e^x is 0 below

/// block(values, i) for kAtOnce values at a time, from place i on; the last ones filled up with
/// impossible tokens.
template <class Block>
void in_blocks(const float* values, int64_t first, int64_t last, Block block) {
  int64_t i = first;
  for (; i + kAtOnce <= last; i += kAtOnce) block(values + i, i);
  if (i == last) return;
  float rest[kAtOnce];
  for (float& value : rest) value = -__builtin_inff();
  memcpy(rest, values + i, (last - i) * sizeof(float));
  block(rest, i);
}

float highest_of(const float* logits, int64_t vocab) {
  float lanes[kAtOnce];
  for (float& lane : lanes) lane = -__builtin_inff();
  in_blocks(logits, 0, vocab, [&](const float* __restrict x, int64_t) {
    for (int64_t i = 0; i < kAtOnce; ++i) lanes[i] = x[i] > lanes[i] ? x[i] : lanes[i];
  });
  float highest = lanes[0];
  for (const float lane : lanes) highest = lane > highest ? lane : highest;
  return highest;
}

/// d = (x − highest) · scale, at least kLowest, and e^d, there 0.
struct Distance {
  float d, e;
};
inline Distance distance(float x, float highest, float scale) {
  const float far = (x - highest) * scale, d = far < kLowest ? kLowest : far;
  return {d, far < kLowest ? 0.0f : kernels::fast_exp(d)};
}

/// Σ e and Σ e · d of a row: sums of runs in single precision, of the runs in double.
struct Sums {
  double e = 0, moment = 0;
};
Sums sums_of(const float* logits, int64_t vocab, float highest, float scale) {
  Sums sums;
  for (int64_t begin = 0; begin < vocab; begin += kRun) {
    const int64_t end = begin + kRun < vocab ? begin + kRun : vocab;
    float e[kAtOnce] = {}, moment[kAtOnce] = {};
    in_blocks(logits, begin, end, [&](const float* __restrict x, int64_t) {
      for (int64_t i = 0; i < kAtOnce; ++i) {
        const Distance of = distance(x[i], highest, scale);
        e[i] += of.e;
        moment[i] += of.e * of.d;
      }
    });
    for (int64_t i = 0; i < kAtOnce; ++i) sums.e += e[i], sums.moment += moment[i];
  }
  return sums;
}

}  // namespace

void softmax(const SoftmaxRows& p, int64_t first, int64_t last) {
  const float scale = 1.0f / p.temperature;
  for (int64_t row = first; row < last; ++row) {
    const float* logits = p.logits + row * p.vocab;
    const float highest = highest_of(logits, p.vocab);
    const Sums sums = sums_of(logits, p.vocab, highest, scale);
    const double log_sum = __builtin_log(sums.e), target = logits[p.targets[row]];
    p.highest[row] = highest;
    p.sum[row] = static_cast<float>(sums.e);
    p.logprobs[row] = static_cast<float>((target - highest) / p.temperature - log_sum);
    p.entropy[row] = static_cast<float>(log_sum - sums.moment / sums.e);
  }
}

void softmax_backward(const SoftmaxGradients& p, int64_t first, int64_t last) {
  const SoftmaxRows& rows = p.rows;
  const float scale = 1.0f / rows.temperature;
  for (int64_t place = 0; place < p.num_active; ++place) {
    const int64_t row = p.active[place], target = rows.targets[row];
    const float* logits = rows.logits + row * rows.vocab;
    float* gradients = rows.logits + place * rows.vocab;
    const float c = p.d_logp[row], bonus = p.bonus ? p.bonus[row] : 0.0f;
    const float factor = scale / rows.sum[row];  // makes e a probability
    // bonus · (log p + entropy) − c = bonus · d + rest.
    const float rest = bonus * (rows.entropy[row] - __builtin_logf(rows.sum[row])) - c;
    in_blocks(logits, first, last, [&, highest = rows.highest[row]](const float* x, int64_t at) {
      float block[kAtOnce];
      for (int64_t i = 0; i < kAtOnce; ++i) {
        const Distance of = distance(x[i], highest, scale);
        block[i] = of.e * factor * (bonus * of.d + rest);
      }
      if (at + kAtOnce <= last)
        memcpy(gradients + at, block, sizeof block);
      else
        memcpy(gradients + at, block, (last - at) * sizeof(float));
    });
    if (first <= target && target < last) gradients[target] += c * scale;
  }
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
