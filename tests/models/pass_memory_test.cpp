// What passes hold on paper, against what an allocator counts.
#include "caprl/models/pass_memory.h"

#include <torch/csrc/autograd/autograd.h>

#include "model_files.h"
#include "support/counting_allocator.h"
#include "support/pass_problem.h"

namespace caprl::test {
namespace {

struct Case {
  const char* name;
  json (*config)();
  TrainedParts train = TrainedParts::kAll;
  ops::Recompute recompute = ops::Recompute::kNone;
  int64_t lora_rank = 0;
  at::ScalarType dtype = at::kFloat;
  int64_t branches = 4;
};

struct Counted {
  double kept = 0, peak = 0;
};

/// Bytes of a forward and backward pass beside weights and gradients.
Counted count(Model& model, const std::vector<BranchedSequence>& trees) {
  Parameters& parameters = model.parameters();
  std::vector<at::Tensor> gradients;
  for (const auto& slice : parameters.trainable_slices()) {
    at::Tensor weight = parameters.get(slice.name);
    gradients.push_back(at::zeros(weight.sizes(), at::kFloat));
    if (slice.name == kEmbeddingName)
      parameters.attach_gradient(slice.name, gradients.back());
    else if (weight.scalar_type() == at::kFloat)
      weight.mutable_grad() = gradients.back();
  }
  const CountingAllocator memory;
  const int64_t before = memory.live_bytes();
  Counted counted;
  const BranchedBatch batch = pack(trees, model);
  const auto attention = std::make_shared<BranchedAttention>(batch.layout, at::kCPU);
  const at::Tensor hidden = model.decode(model.embed(batch), batch.positions, *attention);
  counted.kept = static_cast<double>(memory.live_bytes() - before);
  torch::autograd::backward({hidden}, {at::ones_like(hidden)});
  counted.peak = static_cast<double>(memory.peak_bytes() - before);
  return counted;
}

class PassMemoryTest : public testing::TestWithParam<Case> {};

TEST_P(PassMemoryTest, IsWhatAnAllocatorCounts) {
  const Case& of = GetParam();
  LoraConfig lora;
  lora.rank = of.lora_rank;
  const json config = of.config();
  const auto model = Model::random(
      config, 1, {.dtype = of.dtype, .train = of.train, .recompute = of.recompute, .lora = lora});
  const auto groups = trees(*model, of.branches);
  count(*model, groups);  // rotary tables and the like
  const Counted counted = count(*model, groups);

  const PassShape shape = shape_of(groups);
  PassSetting setting;
  setting.value = static_cast<double>(at::elementSize(of.dtype));
  setting.recompute = of.recompute;
  const auto planned =
      pass_memory(describe_model(config, "", of.train, lora), shape, setting).training;
  const double states =
      shape.tokens() * static_cast<double>(model->traits().hidden_size) * setting.value;
  // The final hidden states and their gradient are the caller's.
  const double kept = planned.kept + states, peak = planned.kept + planned.backward + 2 * states;
  EXPECT_NEAR(kept / counted.kept, 1, 0.03) << kept << " planned, " << counted.kept;
  EXPECT_NEAR(peak / counted.peak, 1, 0.05) << peak << " planned, " << counted.peak;
}

json text_model() { return decoder("Qwen3ForCausalLM", 2); }
json text_of_all_heads() { return decoder("Qwen2ForCausalLM", 4); }

using enum TrainedParts;
constexpr auto kKeep = ops::Recompute::kNone, kMlp = ops::Recompute::kMlp,
               kFull = ops::Recompute::kFull;
INSTANTIATE_TEST_SUITE_P(
    Families, PassMemoryTest,
    testing::Values(Case{"text", text_model}, Case{"text_of_all_heads", text_of_all_heads},
                    Case{"text_chain", text_model, kAll, kKeep, 0, at::kFloat, 1},
                    Case{"text_mlp", text_model, kAll, kMlp},
                    Case{"text_full", text_model, kAll, kFull},
                    Case{"text_lora", text_model, kLanguage, kKeep, 8},
                    Case{"text_lora_full", text_model, kLanguage, kFull, 8},
                    Case{"text_bf16", text_model, kAll, kKeep, 0, at::kBFloat16},
                    Case{"qwen2_5_vl", qwen2_5_vl}, Case{"qwen2_5_vl_mlp", qwen2_5_vl, kAll, kMlp},
                    Case{"qwen2_5_vl_full", qwen2_5_vl, kAll, kFull},
                    Case{"qwen2_5_vl_frozen_tower", qwen2_5_vl, kLanguage},
                    Case{"qwen2_5_vl_merger", qwen2_5_vl, kMerger},
                    Case{"qwen2_5_vl_lora", qwen2_5_vl, kAll, kKeep, 8},
                    Case{"qwen2_5_vl_bf16", qwen2_5_vl, kAll, kKeep, 0, at::kBFloat16},
                    Case{"qwen2_vl", qwen2_vl}, Case{"qwen3_vl", qwen3_vl},
                    Case{"qwen3_vl_full", qwen3_vl, kAll, kFull}, Case{"internvl", internvl},
                    Case{"internvl_mlp", internvl, kAll, kMlp},
                    Case{"internvl_full", internvl, kAll, kFull},
                    Case{"internvl_projector", internvl, kMerger}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace caprl::test
