// The device of operations on kernels, for tests: kernels run on the CPU's emulation, products are
// ATen's.
#include <ATen/ATen.h>

#include "caprl/ops/recording.h"
#include "on_kernels/switch.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl {
namespace {

bool enabled = false;

}  // namespace

void use_kernels(bool yes) { enabled = yes; }
at::Device kernel_device() { return at::kCPU; }

namespace ops::fused {

bool runs_on(const at::Tensor& tensor) {
  return enabled && (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

kernels::Stream stream_of(const at::Tensor&) { return nullptr; }

void multiply(const at::Tensor& a, const at::Tensor& b, at::Tensor& d, bool accumulate) {
  const at::Tensor product = at::mm(a.to(at::kFloat), b.to(at::kFloat));
  if (accumulate)
    d.add_(product);
  else
    d.copy_(product);
}

}  // namespace ops::fused

namespace ops {

/// Does the work again.
struct Recording::Graph {
  std::function<void()> work;
};
Recording::Recording() : graph_(std::make_unique<Graph>()) {}
Recording::~Recording() = default;
bool Recording::possible(at::Device) { return enabled; }
void Recording::record(const std::function<void()>& work) { graph_->work = work; }
void Recording::replay() { graph_->work(); }

}  // namespace ops
}  // namespace caprl
