// Kernels between the products of a decoder layer, in the sizes of Qwen2.5-VL-3B.
#include <ATen/ATen.h>

#include "caprl/ops/embedding.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/swiglu.h"
#include "kernel_case.h"
#include "ops/fused/kernels.h"

namespace caprl::bench {
namespace {

constexpr int64_t kRows = 16384, kHidden = 2048, kFeedForward = 11008, kVocab = 151936;
constexpr int64_t kHeads = 16, kKvHeads = 2, kHeadDim = 128;
constexpr double kEps = 1e-6;

at::TensorOptions device() { return at::TensorOptions(at::kCUDA); }

at::Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kBFloat16) {
  return at::randn(shape, device().dtype(dtype));
}

/// `count` sets of random matrices of kRows rows.
std::vector<Tensors> random_sets(int64_t matrices, int64_t columns) {
  const int64_t count = sets_of(matrices * kRows * columns * 2);
  std::vector<Tensors> sets(static_cast<size_t>(count));
  for (Tensors& set : sets)
    for (int64_t i = 0; i < matrices; ++i) set.push_back(random({kRows, columns}));
  return sets;
}

const Tensors& at_set(const std::vector<Tensors>& sets, int64_t set) {
  return sets[static_cast<size_t>(set)];
}

std::string rows_by(int64_t columns) {
  return std::to_string(kRows) + " × " + std::to_string(columns);
}

KernelCase from_sets(int64_t columns, const std::vector<Tensors>& sets, int64_t written_matrices) {
  KernelCase result;
  result.shape = rows_by(columns);
  result.bytes = bytes_of(sets.front()) + written_matrices * kRows * columns * 2;
  result.num_sets = static_cast<int64_t>(sets.size());
  return result;
}

/// As transformers' modules compute it.
at::Tensor composed_norm(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor wide = x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.pow(2).mean(-1, true) + kEps)).to(x.scalar_type());
}

KernelCase rms_norm_case() {
  const auto sets = random_sets(1, kHidden);
  const at::Tensor weight = random({kHidden});
  KernelCase result = from_sets(kHidden, sets, 1);
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    return {ops::rms_norm(at_set(sets, set)[0], weight, kEps)};
                  }};
  result.peers = {
      {"ATen, composed",
       [=](int64_t set) -> Tensors { return {composed_norm(at_set(sets, set)[0], weight)}; }},
      {"ATen, _fused_rms_norm", [=](int64_t set) -> Tensors {
         return {std::get<0>(at::_fused_rms_norm(at_set(sets, set)[0], {kHidden}, weight, kEps))};
       }}};
  return result;
}

KernelCase add_rms_norm_case() {
  const auto sets = random_sets(2, kHidden);
  const at::Tensor weight = random({kHidden});
  KernelCase result = from_sets(kHidden, sets, 2);
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    const auto& [x, delta] = std::tie(at_set(sets, set)[0], at_set(sets, set)[1]);
                    const auto [sum, normed] = ops::add_rms_norm(x, delta, weight, kEps);
                    return {sum, normed};
                  }};
  const auto after_add = [=](auto norm) {
    return [=](int64_t set) -> Tensors {
      const at::Tensor sum = at_set(sets, set)[0] + at_set(sets, set)[1];
      return {sum, norm(sum)};
    };
  };
  result.peers = {
      {"ATen, composed", after_add([=](const at::Tensor& x) { return composed_norm(x, weight); })},
      {"ATen, add and _fused_rms_norm", after_add([=](const at::Tensor& x) {
         return std::get<0>(at::_fused_rms_norm(x, {kHidden}, weight, kEps));
       })}};
  return result;
}

/// Of add_rms_norm: gradients of the normed rows and of the sum → of the sum and of the weight.
KernelCase rms_norm_backward_case() {
  const auto sets = random_sets(3, kHidden);  // g, g_sum, sum
  const at::Tensor weight = random({kHidden});
  std::vector<at::Tensor> scales;
  for (const Tensors& set : sets)
    scales.push_back(at::rsqrt(set[2].to(at::kFloat).pow(2).mean(-1, true) + kEps));
  KernelCase result = from_sets(kHidden, sets, 1);
  const auto scale = [=](int64_t set) { return scales[static_cast<size_t>(set)]; };
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    const Tensors& in = at_set(sets, set);
                    at::Tensor d_weight = at::zeros({kHidden}, device().dtype(at::kFloat));
                    at::Tensor d_sum = ops::fused::rms_norm_backward(in[0], in[1], in[2], weight,
                                                                     scale(set), d_weight);
                    return {d_sum, d_weight};
                  }};
  result.peers = {{"ATen, _fused_rms_norm_backward and add", [=](int64_t set) -> Tensors {
                     const Tensors& in = at_set(sets, set);
                     auto [d_x, d_weight] = at::_fused_rms_norm_backward(
                         in[0], in[2], {kHidden}, scale(set), weight, {true, true});
                     return {d_x + in[1], d_weight};
                   }}};
  return result;
}

KernelCase swiglu_case() {
  const auto sets = random_sets(2, kFeedForward);
  KernelCase result = from_sets(kFeedForward, sets, 1);
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    return {ops::swiglu(at_set(sets, set)[0], at_set(sets, set)[1])};
                  }};
  result.peers = {{"ATen, silu and mul", [=](int64_t set) -> Tensors {
                     return {at::silu(at_set(sets, set)[0]) * at_set(sets, set)[1]};
                   }}};
  return result;
}

KernelCase swiglu_backward_case() {
  const auto sets = random_sets(3, kFeedForward);  // gate, up, g
  KernelCase result = from_sets(kFeedForward, sets, 2);
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    const Tensors& in = at_set(sets, set);
                    return ops::fused::swiglu_backward(in[0], in[1], in[2]).chunk(2, -1);
                  }};
  result.peers = {{"ATen, silu_backward and mul", [=](int64_t set) -> Tensors {
                     const Tensors& in = at_set(sets, set);
                     return {at::silu_backward(in[2] * in[1], in[0]), in[2] * at::silu(in[0])};
                   }}};
  return result;
}

/// x · cos + (−x₂, x₁) · sin, as transformers computes it.
at::Tensor composed_turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return x * cos + at::cat({-halves[1], halves[0]}, -1) * sin;
}

KernelCase rotary_case() {
  const int64_t columns = (kHeads + kKvHeads) * kHeadDim;
  const auto sets = random_sets(1, columns);
  const at::Tensor angles = random({kRows, kHeadDim / 2}, at::kFloat);
  const at::Tensor cos = angles.cos().to(at::kBFloat16), sin = angles.sin().to(at::kBFloat16);
  const at::Tensor wide_cos = at::cat({cos, cos}, -1).unsqueeze(1);
  const at::Tensor wide_sin = at::cat({sin, sin}, -1).unsqueeze(1);
  KernelCase result = from_sets(columns, sets, 1);
  result.bytes += bytes_of({cos, sin});
  const auto heads = [=](int64_t set) {
    return at_set(sets, set)[0].view({kRows, kHeads + kKvHeads, kHeadDim});
  };
  const auto q = [=](int64_t set) { return heads(set).narrow(1, 0, kHeads); };
  const auto k = [=](int64_t set) { return heads(set).narrow(1, kHeads, kKvHeads); };
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    const auto [q_out, k_out] = ops::rotate(q(set), k(set), {cos, sin});
                    return {q_out, k_out};
                  }};
  result.peers = {{"ATen, composed", [=](int64_t set) -> Tensors {
                     return {composed_turn(q(set), wide_cos, wide_sin),
                             composed_turn(k(set), wide_cos, wide_sin)};
                   }}};
  return result;
}

/// Added to the fp32 gradient of a tied head. Ids as text has them: few are frequent.
KernelCase embedding_gradient_case() {
  const auto sets = random_sets(1, kHidden);
  const at::Tensor spread = at::rand({kRows}, device()).pow(4) * static_cast<double>(kVocab);
  const at::Tensor ids = spread.to(at::kLong).clamp(0, kVocab - 1);
  const at::Tensor gradient = at::zeros({kVocab, kHidden}, device().dtype(at::kFloat));
  const int64_t num_ids = std::get<0>(at::_unique(ids)).numel();
  KernelCase result = from_sets(kHidden, sets, 0);
  result.comparable = false;  // it adds to what there is
  result.bytes += bytes_of({ids}) + 2 * num_ids * kHidden * 4;
  result.shape += " into " + std::to_string(num_ids) + " rows";
  result.caprl = {"caprl, with its sort", [=](int64_t set) -> Tensors {
                    at::Tensor sum = gradient;
                    ops::fused::embedding_gradient(at_set(sets, set)[0], ids, -1, sum);
                    return {sum};
                  }};
  result.peers = {{"ATen, index_add_ of floats", [=](int64_t set) -> Tensors {
                     at::Tensor sum = gradient;
                     return {sum.index_add_(0, ids, at_set(sets, set)[0].to(at::kFloat))};
                   }}};
  return result;
}

}  // namespace

std::vector<NamedCase> layer_cases() {
  return {{"rms_norm", rms_norm_case},
          {"add_rms_norm", add_rms_norm_case},
          {"rms_norm_backward", rms_norm_backward_case},
          {"swiglu", swiglu_case},
          {"swiglu_backward", swiglu_backward_case},
          {"rotary", rotary_case},
          {"embedding_gradient", embedding_gradient_case}};
}

}  // namespace caprl::bench
