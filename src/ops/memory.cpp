#include "caprl/ops/memory.h"

#include <algorithm>
#include <cmath>

#include "caprl/ops/adamw.h"
#include "ops/cpu/operations.h"
#include "ops/fused/device.h"

namespace caprl::ops {
namespace {

// What operations need at a time.
constexpr double kInnerGradients = 3;  // a feed-forward layer's, of its inner width
constexpr double kRowNumbers = 32;     // bytes of a scored row: its statistics and results

/// The gradient of a weight before it is added to the sum. Kernels have none: products add.
double gradient_memory(const MemorySetting& setting, double values) {
  if (setting.kernels) return 0;
  // A CPU adds bf16 to fp32 by way of a copy in fp32.
  return values * (setting.value + (setting.value < 4 ? setting.real() : 0));
}

/// What a product needs that adds to a weight's gradient.
double product_memory(const MemorySetting& setting, const LinearUse& use) {
  const bool adds = setting.kernels && (use.trained || use.rank > 0);
  return adds ? static_cast<double>(fused::kProductWorkspace) : 0;
}

/// A CPU's.
bool on_own_kernels(const MemorySetting& setting) { return !setting.kernels && setting.value <= 4; }

}  // namespace

double HeadShape::padded_keys() const { return kv_heads * std::ceil(size / 16) * 16; }

void PassTape::add(const OpMemory& op) {
  kept_ += op.kept;
  forward_ = std::max(forward_, kept_ + op.forward);
  backward_ = std::max(backward_, kept_ + op.backward);
}

OpMemory PassTape::total() const {
  return {kept_, std::max(0.0, forward_ - kept_), std::max(0.0, backward_ - kept_)};
}

OpMemory recomputed(const OpMemory& work, double inputs, double results) {
  const double again = work.kept + std::max(work.forward, work.backward) + results;
  // The first time nothing is kept; what one operation holds is at most what all of them would.
  return {inputs, std::min(again, work.forward + results), again};
}

OpMemory linear_memory(const MemorySetting& setting, double rows, double in, double out,
                       const LinearUse& use) {
  const double v = setting.value;
  OpMemory memory;
  memory.kept = rows * use.rank * v;
  memory.forward = rows * out * v * (use.rank > 0 ? 3 : 1);  // base, change, sum
  memory.backward = rows * (out + in) * v + (use.rank > 0 ? rows * in * v : 0) +
                    (use.trained ? gradient_memory(setting, in * out) : 0) +
                    product_memory(setting, use);
  return memory;
}

OpMemory norm_memory(const MemorySetting& setting, double rows, double width, bool adds) {
  const double values = rows * width * setting.value;
  return {(adds ? values : 0) + rows * setting.real(), values, (adds ? 3 : 2) * values};
}

OpMemory feed_forward_memory(const MemorySetting& setting, double rows, double width, double inner,
                             const LinearUse& use) {
  const double v = setting.value, of_inner = rows * inner * v, of_width = rows * width * v;
  const double gradient = use.trained ? gradient_memory(setting, width * inner) : 0;
  const bool adapted = use.rank > 0;
  OpMemory memory;
  memory.kept = (adapted ? 3 : 2) * of_inner + (adapted ? 3 * rows * use.rank * v : 0);
  memory.forward = adapted ? std::max(of_inner, 3 * of_width) : of_inner + of_width;
  // The product that is kept is gone when its factors' gradients are made.
  const double inner_gradients = (adapted ? kInnerGradients - 1 : kInnerGradients) * of_inner;
  memory.backward =
      of_width + product_memory(setting, use) +
      std::max(inner_gradients + gradient, 2 * of_inner + 3 * gradient + 2 * of_width);
  return memory;
}

OpMemory group_attention_memory(const MemorySetting& setting, const GroupShape& groups,
                                const HeadShape& heads, bool one_product) {
  const double v = setting.value, Q = heads.queries(), K = heads.keys(), N = groups.tokens();
  const double branches = groups.branches * groups.branch;
  OpMemory memory;
  // Turned queries and keys, values (of one product a view of all), what is seen, its weight.
  memory.kept =
      N * ((Q + K) + (one_product ? Q + 2 * K : K) + Q) * v + N * heads.heads * setting.real();
  if (setting.flash) {
    memory.forward = N * 3 * Q * v;
    // Gradients of both parts; flash attention's own in fp32, and keys' for every head of queries.
    memory.backward = N * ((Q + (Q + 2 * K) + 2 * Q + 2 * Q) * v + Q * 4 + heads.heads * 4);
  } else if (setting.kernels) {  // composed of all scores of a part
    const double scores = std::max(groups.prefix * groups.prefix, branches * groups.prefix);
    memory.forward = N * (Q + K) * v + 3 * heads.heads * scores * setting.real();
    memory.backward = N * (2 * Q + 2 * K) * v + 4 * heads.heads * scores * setting.real();
  } else {  // keys' gradients of each branch by itself, in floats
    const double seen = N + groups.groups * groups.branches * groups.prefix;
    memory.forward = N * (Q + K) * v;
    memory.backward = N * (2 * Q + 2 * K) * v + 2 * seen * heads.padded_keys() * 4;
  }
  return memory;
}

OpMemory image_attention_memory(const MemorySetting& setting, double rows, const HeadShape& heads,
                                bool rotated, bool pieces) {
  const double v = setting.value, width = rows * heads.queries() * v;
  OpMemory memory;
  // The product, of which values are a view, turned queries and keys, what is seen; and that once
  // more where it is put together.
  memory.kept =
      (3 + (rotated ? 2 : 0) + 1 + (pieces ? 1 : 0)) * width + rows * heads.heads * setting.real();
  memory.forward = 0;
  memory.backward = (1 + 3 + 3) * width + (setting.flash ? rows * heads.queries() * 4 : 0);
  return memory;
}

double paged_attention_reading(const MemorySetting& setting, double rows, double width,
                               const HeadShape& heads) {
  // Hidden states, normed ones, what is made of them; queries, what is seen, keys and values.
  const double projected = 2 * heads.queries() + 2 * heads.keys();
  const double turned = on_own_kernels(setting) ? 0 : heads.queries() + heads.keys();
  return rows * setting.value * (3 * width + projected + turned);
}

double gated_half_reading(const MemorySetting& setting, double rows, double width, double inner,
                          bool adapted) {
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  const double states = rows * setting.value * width;
  // Hidden states before, normed, from attention, and both after; or all that is in between.
  if (!on_own_kernels(setting) || adapted) return 6 * states + rows * setting.value * 3 * inner;
  if (cpu::rows_fed_at_once(whole(rows), whole(width), whole(inner)) > 0) return 5 * states;
  return 6 * states + 4 * static_cast<double>(cpu::gated_floats(whole(rows), whole(inner)));
}

OpMemory loss_memory(const MemorySetting& setting, const LossShape& shape) {
  const double v = setting.value, real = setting.real();
  const double rows = shape.rows * shape.hidden * v, states = shape.tokens * shape.hidden * v;
  const double chunk = std::min(shape.chunk, shape.rows) * shape.vocab;
  OpMemory memory;
  memory.kept = rows + shape.rows * kRowNumbers;  // the hidden states' gradient
  // Hidden states of all tokens, and of the scored ones.
  if (setting.kernels)
    memory.forward =
        states + rows + chunk * (v < 4 ? 4 : v) + static_cast<double>(fused::kProductWorkspace);
  else  // logits, of doubles beside their softmax; the head in their precision
    memory.forward = states + rows + (on_own_kernels(setting) ? 1 : 2) * chunk * real +
                     (v < 4 ? shape.vocab * shape.hidden * real : 0);
  memory.backward = states;
  return memory;
}

double optimizer_memory(const MemorySetting& setting, double values) {
  const double block = std::min(values, static_cast<double>(kAdamWBlock));
  if (setting.offload) return (setting.value < setting.real() ? 3 : 2) * setting.real() * block;
  if (setting.kernels || on_own_kernels(setting)) return 0;
  return 3 * setting.real() * block;  // scaled gradient, denominator, squares
}

}  // namespace caprl::ops
