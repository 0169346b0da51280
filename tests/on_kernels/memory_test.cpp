// What passes on kernels hold, on paper and counted: on a GPU by its allocator, in all; where
// kernels are emulated, whose products make copies, what is kept for the backward pass.
#include <ATen/DeviceAccelerator.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "caprl/models/branched.h"
#include "caprl/train/optimizer.h"
#include "on_kernels/switch.h"
#include "support/counting_allocator.h"
#include "support/pass_problem.h"

namespace caprl::test {
namespace {

/// Bytes of tensors where kernels run.
class DeviceMemory {
 public:
  DeviceMemory() {
    if (on_gpu()) at::accelerator::resetPeakStats(0);
  }
  static bool on_gpu() { return kernel_device().is_cuda(); }
  double live() const {
    return static_cast<double>(on_gpu() ? allocated().current : host_.live_bytes());
  }
  double peak() const {
    return static_cast<double>(on_gpu() ? allocated().peak : host_.peak_bytes());
  }

 private:
  static c10::CachingAllocator::Stat allocated() {
    using c10::CachingAllocator::StatType;
    return at::accelerator::getDeviceStats(0)
        .allocated_bytes[static_cast<size_t>(StatType::AGGREGATE)];
  }
  CountingAllocator host_;
};

struct Counted {
  double kept = 0, peak = 0;
};

/// Of a forward and backward pass, beside weights and the sums of gradients.
Counted count(Model& model, const std::vector<BranchedSequence>& trees) {
  const DeviceMemory memory;
  const double before = memory.live();
  Counted counted;
  const BranchedBatch batch = pack(trees, model);
  const auto attention = std::make_shared<BranchedAttention>(batch.layout, current_device());
  const at::Tensor hidden = model.decode(model.embed(batch), batch.positions, *attention);
  counted.kept = memory.live() - before;
  torch::autograd::backward({hidden}, {at::ones_like(hidden)});
  counted.peak = memory.peak() - before;
  return counted;
}

void expect_planned(const json& config, int64_t rank, ops::Recompute recompute) {
  LoraConfig lora;
  lora.rank = rank;
  const bool gpu = DeviceMemory::on_gpu();
  ModelOptions options{.dtype = gpu ? at::kBFloat16 : at::kFloat,
                       .device = current_device(),
                       .train = TrainedParts::kAll,
                       .recompute = recompute,
                       .lora = lora};
  const auto model = Model::random(config, 1, options);
  const AdamW optimizer(model->parameters(), {});  // has the sums of gradients
  const auto groups = trees(*model, 4);
  count(*model, groups);  // rotary tables and the like
  const Counted counted = count(*model, groups);
  PassSetting setting;
  setting.value = static_cast<double>(at::elementSize(options.dtype));
  setting.kernels = true;
  setting.flash = gpu;
  setting.recompute = recompute;
  const PassShape shape = shape_of(groups);
  const auto planned =
      pass_memory(describe_model(config, "", TrainedParts::kAll, lora), shape, setting).training;
  // The final hidden states and their gradient are the caller's.
  const double states =
      shape.tokens() * static_cast<double>(model->traits().hidden_size) * setting.value;
  EXPECT_NEAR((planned.kept + states) / counted.kept, 1, 0.03)
      << planned.kept + states << " planned, " << counted.kept;
  if (!gpu) return;
  const double peak = planned.kept + planned.backward + 2 * states;
  EXPECT_NEAR(peak / counted.peak, 1, 0.05) << peak << " planned, " << counted.peak;
}

TEST(MemoryOnKernels, IsWhatAnAllocatorCounts) {
  const OnKernels on;
  expect_planned(qwen2_5_vl(), 0, ops::Recompute::kNone);
  expect_planned(qwen2_5_vl(), 0, ops::Recompute::kMlp);
  expect_planned(qwen2_5_vl(), 0, ops::Recompute::kFull);
  expect_planned(qwen2_5_vl(), 8, ops::Recompute::kNone);
  expect_planned(internvl(), 0, ops::Recompute::kNone);
}

}  // namespace
}  // namespace caprl::test
