#include "caprl/ops/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "caprl/core/parallel.h"
#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

AdamWTensors part_of(const AdamWTensors& tensors, int64_t begin, int64_t count) {
  const auto part = [&](const at::Tensor& t) {
    return t.defined() ? t.narrow(0, begin, count) : t;
  };
  return {part(tensors.gradient), part(tensors.master), part(tensors.exp_avg),
          part(tensors.exp_avg_sq), part(tensors.weights)};
}

void composed_adamw(const AdamWTensors& tensors, const AdamWTerms& terms) {
  at::Tensor master = tensors.master, exp_avg = tensors.exp_avg, exp_avg_sq = tensors.exp_avg_sq;
  const at::Tensor gradient =
      terms.gradient_scale == 1 ? tensors.gradient : tensors.gradient * terms.gradient_scale;
  if (terms.weight_decay != 0) master.mul_(1 - terms.lr * terms.weight_decay);
  exp_avg.lerp_(gradient, 1 - terms.beta1);
  exp_avg_sq.mul_(terms.beta2).addcmul_(gradient, gradient, 1 - terms.beta2);
  const at::Tensor denominator =
      exp_avg_sq.sqrt().div_(std::sqrt(terms.correction2)).add_(terms.eps);
  master.addcdiv_(exp_avg, denominator, -terms.lr / terms.correction1);
}

/// In one reading. Sums are in one order whatever the number of threads.
at::Tensor squared_norm_on_cpu(const at::Tensor& x) {
  constexpr int64_t kPiece = int64_t{1} << 16, kSums = 16;
  const int64_t count = x.numel(), pieces = (count + kPiece - 1) / kPiece;
  const float* values = x.const_data_ptr<float>();
  std::vector<double> of_pieces(pieces);
  parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      const int64_t end = std::min(count, (piece + 1) * kPiece);
      std::array<double, kSums> sums{};  // side by side: none waits for another
      int64_t i = piece * kPiece;
      for (; i + kSums <= end; i += kSums)
        for (int64_t j = 0; j < kSums; ++j) {
          const double value = values[i + j];
          sums[j] += value * value;
        }
      for (; i < end; ++i) sums[0] += static_cast<double>(values[i]) * values[i];
      of_pieces[piece] = std::accumulate(sums.begin(), sums.end(), 0.0);
    }
  });
  return at::scalar_tensor(std::accumulate(of_pieces.begin(), of_pieces.end(), 0.0), at::kDouble);
}

}  // namespace

void adamw(const AdamWTensors& tensors, const AdamWTerms& terms) {
  const int64_t size = tensors.master.numel();
  const auto fits = [&](const at::Tensor& t) {
    return t.dim() == 1 && t.size(0) == size && t.is_contiguous() &&
           t.scalar_type() == tensors.master.scalar_type();
  };
  TORCH_CHECK(fits(tensors.master) && fits(tensors.gradient) && fits(tensors.exp_avg) &&
                  fits(tensors.exp_avg_sq),
              "[adamw] expected flat gradient, master and moments of one size and dtype, got ",
              tensors.gradient.sizes(), ", ", tensors.master.sizes(), ", ", tensors.exp_avg.sizes(),
              " and ", tensors.exp_avg_sq.sizes());
  const at::Tensor& weights = tensors.weights;
  TORCH_CHECK(
      !weights.defined() || (weights.dim() == 1 && weights.size(0) == size &&
                             weights.is_contiguous() && weights.scalar_type() == at::kBFloat16),
      "[adamw] expected ", size, " flat weights of bfloat16, got ", weights.sizes(), " of ",
      weights.scalar_type());
  if (fused::runs_on(tensors.master)) return fused::adamw(tensors, terms);
  if (cpu::has_kernels(tensors.master)) return cpu::adamw(tensors, terms);
  for (int64_t begin = 0; begin < size; begin += kAdamWBlock)
    composed_adamw(part_of(tensors, begin, std::min(kAdamWBlock, size - begin)), terms);
}

void adamw_offloaded(const AdamWTensors& tensors, const AdamWTerms& terms, int64_t block) {
  const int64_t size = tensors.gradient.numel();
  for (int64_t begin = 0; begin < size; begin += block) {
    const AdamWTensors home = part_of(tensors, begin, std::min(block, size - begin));
    AdamWTensors here = home;
    std::vector<std::pair<at::Tensor, at::Tensor>> visitors;  // where they belong, and are now
    const auto visit = [&](const at::Tensor& from, at::Tensor& to) {
      to = from.to(home.gradient.options(), /*non_blocking=*/true, /*copy=*/true);
      visitors.emplace_back(from, to);
    };
    visit(home.exp_avg, here.exp_avg);
    visit(home.exp_avg_sq, here.exp_avg_sq);
    if (home.weights.defined()) visit(home.master, here.master);
    adamw(here, terms);
    // Copies wait for each other on the device; the host waits for the last one.
    const bool is_last = begin + block >= size;
    for (size_t i = 0; i < visitors.size(); ++i)
      visitors[i].first.copy_(visitors[i].second, !(is_last && i + 1 == visitors.size()));
  }
}

at::Tensor squared_norm(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 1 && x.is_contiguous() &&
                  (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble),
              "[squared_norm] expected flat float or double, got ", x.sizes(), " of ",
              x.scalar_type());
  if (fused::runs_on(x)) return fused::squared_norm(x);
  if (x.is_cpu() && x.scalar_type() == at::kFloat) return squared_norm_on_cpu(x);
  at::Tensor sum = at::zeros({}, x.options().dtype(at::kDouble));
  for (int64_t begin = 0; begin < x.numel(); begin += kAdamWBlock) {
    const int64_t size = std::min(kAdamWBlock, x.numel() - begin);
    sum += x.narrow(0, begin, size).to(at::kDouble).square().sum();
  }
  return sum;
}

}  // namespace caprl::ops
