// Layers that are computed again for the backward pass.
#include <torch/csrc/autograd/autograd.h>

#include "model_files.h"
#include "support/counting_allocator.h"

namespace caprl::test {
namespace {

struct Pass {
  at::Tensor hidden;
  std::vector<at::Tensor> gradients;  // undefined where there is none
  int64_t kept = 0;                   // bytes between forward and backward
  int64_t peak = 0;
};

Pass pass(Model& model, ops::Recompute recompute) {
  model.set_recompute(recompute);
  const std::vector<BranchedSequence> trees{
      {golden_prompt("several_images"), {{5, 6, 7, 8}, {9}, {}}},
      {golden_prompt("text"), {{20, 21}}}};
  const BranchedBatch batch = pack(trees, model);
  Pass result;
  {
    CountingAllocator memory;
    const int64_t before = memory.live_bytes();
    result.hidden = run(model, batch);
    result.kept = memory.live_bytes() - before;
    torch::autograd::backward({result.hidden.sin().sum()}, {});
    result.peak = memory.peak_bytes() - before;
  }
  result.hidden = result.hidden.detach();
  for (const auto& spec : model.parameters().specs()) {
    at::Tensor weight = model.parameters().get(spec.name);
    result.gradients.push_back(weight.grad());
    weight.mutable_grad() = at::Tensor();
  }
  return result;
}

void expect_equal(const Pass& expected, const Pass& got) {
  EXPECT_TRUE(got.hidden.equal(expected.hidden));
  for (size_t i = 0; i < expected.gradients.size(); ++i) {
    const at::Tensor &a = expected.gradients[i], &b = got.gradients[i];
    ASSERT_EQ(a.defined(), b.defined()) << i;
    if (a.defined()) EXPECT_TRUE(a.equal(b)) << i;
  }
}

TEST(Recompute, SameBitsAndLessMemory) {
  for (const TrainedParts train :
       {TrainedParts::kAll, TrainedParts::kLanguage, TrainedParts::kLanguageAndMerger}) {
    const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {.train = train});
    pass(*model, ops::Recompute::kNone);  // rotary tables and the like
    const Pass all = pass(*model, ops::Recompute::kNone);
    const Pass mlp = pass(*model, ops::Recompute::kMlp);
    const Pass full = pass(*model, ops::Recompute::kFull);
    expect_equal(all, mlp);
    expect_equal(all, full);
    EXPECT_LT(mlp.kept, all.kept);
    EXPECT_LT(full.kept, mlp.kept / 2);
    EXPECT_LT(full.peak, all.peak);
  }
}

TEST(Recompute, WithoutGradientsNothingIsKept) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  model->set_recompute(ops::Recompute::kFull);
  const std::vector<BranchedSequence> trees{{golden_prompt("text"), {{20, 21}}}};
  const BranchedBatch batch = pack(trees, *model);
  const at::NoGradGuard no_grad;
  BranchedAttention unshared(batch.layout, at::kCPU);
  EXPECT_TRUE(model->decode(model->embed(batch), batch.positions, unshared).defined());
}

}  // namespace
}  // namespace caprl::test
