// What an optimizer step reads and writes: everything that is trained.
#include <ATen/ATen.h>

#include <fmt/format.h>

#include <algorithm>

#include "caprl/ops/adamw.h"
#include "device_time.h"
#include "kernel_case.h"

namespace caprl::bench {
namespace {

constexpr int64_t kParameters = 3'750'000'000;          // of Qwen2.5-VL-3B
constexpr int64_t kAdamWBytes = 4 + 4 + 4 + 4 + 2;      // held for each parameter
constexpr int64_t kAdamWTraffic = 4 + 3 * (4 + 4) + 2;  // gradient, state in and out, weight
constexpr int64_t kPart = int64_t{1} << 28;  // of what ATen gets at once, for its 32-bit indices
constexpr double kLr = 1e-6, kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8, kDecay = 0.01;

at::TensorOptions device(at::ScalarType dtype) { return at::TensorOptions(at::kCUDA).dtype(dtype); }

/// Views of kPart numbers each.
Tensors parts(const at::Tensor& flat) { return flat.split(kPart); }

/// As many of kParameters as fit.
KernelCase adamw_case() {
  const int64_t fitting = free_device_memory() / 20 * 17 / kAdamWBytes;
  const int64_t size = std::min(kParameters, fitting) / 8 * 8;
  ops::AdamWTensors tensors;
  tensors.gradient = at::randn({size}, device(at::kFloat));
  tensors.master = at::randn({size}, device(at::kFloat));
  tensors.exp_avg = at::zeros({size}, device(at::kFloat));
  tensors.exp_avg_sq = at::zeros({size}, device(at::kFloat));
  tensors.weights = at::zeros({size}, device(at::kBFloat16));
  const ops::AdamWTerms terms{kLr, kBeta1, kBeta2, kEps, kDecay, 1 - kBeta1, 1 - kBeta2};
  KernelCase result;
  result.shape = fmt::format("{:.2f} billion parameters", static_cast<double>(size) / 1e9);
  result.comparable = false;  // it goes on from where it was
  result.bytes = size * kAdamWTraffic;
  // Compared on the first part alone: more copies would not fit.
  const auto changed = [=]() -> Tensors {
    return {tensors.master.narrow(0, 0, std::min(size, kPart)),
            tensors.weights.narrow(0, 0, std::min(size, kPart))};
  };
  result.caprl = {"caprl", [=](int64_t) {
                    ops::adamw(tensors, terms);
                    return changed();
                  }};
  Tensors steps;
  for (size_t i = 0; i < parts(tensors.master).size(); ++i)
    steps.push_back(at::ones({}, device(at::kFloat)));
  result.peers = {{"ATen, _fused_adamw_ and copy_", [=](int64_t) {
                     at::_fused_adamw_(parts(tensors.master), parts(tensors.gradient),
                                       parts(tensors.exp_avg), parts(tensors.exp_avg_sq), {}, steps,
                                       kLr, kBeta1, kBeta2, kDecay, kEps, false, false);
                     at::Tensor weights = tensors.weights;
                     weights.copy_(tensors.master);
                     return changed();
                   }}};
  return result;
}

KernelCase squared_norm_case() {
  const at::Tensor gradient = at::randn({int64_t{1} << 30}, device(at::kFloat));
  KernelCase result;
  result.shape = "2^30 floats";
  result.bytes = bytes_of({gradient});
  result.caprl = {"caprl, in double",
                  [=](int64_t) -> Tensors { return {ops::squared_norm(gradient)}; }};
  result.peers = {{"ATen, linalg_vector_norm in float", [=](int64_t) -> Tensors {
                     return {at::linalg_vector_norm(gradient).square()};
                   }}};
  return result;
}

}  // namespace

std::vector<NamedCase> optimizer_cases() {
  return {{"adamw", adamw_case}, {"squared_norm", squared_norm_case}};
}

}  // namespace caprl::bench
