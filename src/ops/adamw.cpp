#include "caprl/ops/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "caprl/core/parallel.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

/// Numbers worked on at a time, which bounds the temporaries.
constexpr int64_t kBlock = int64_t{1} << 24;

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
  if (tensors.weights.defined()) at::Tensor(tensors.weights).copy_(master);
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
  TORCH_CHECK(
      !tensors.weights.defined() || (tensors.weights.dim() == 1 && tensors.weights.size(0) == size),
      "[adamw] expected ", size, " weights, got ",
      tensors.weights.defined() ? tensors.weights.numel() : 0);
  if (fused::runs_on(tensors.master)) return fused::adamw(tensors, terms);
  const auto part = [](const at::Tensor& t, int64_t begin, int64_t count) {
    return t.defined() ? t.narrow(0, begin, count) : t;
  };
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t count = std::min(kBlock, size - begin);
    composed_adamw({part(tensors.gradient, begin, count), part(tensors.master, begin, count),
                    part(tensors.exp_avg, begin, count), part(tensors.exp_avg_sq, begin, count),
                    part(tensors.weights, begin, count)},
                   terms);
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
  for (int64_t begin = 0; begin < x.numel(); begin += kBlock) {
    const int64_t size = std::min(kBlock, x.numel() - begin);
    sum += x.narrow(0, begin, size).to(at::kDouble).square().sum();
  }
  return sum;
}

}  // namespace caprl::ops
