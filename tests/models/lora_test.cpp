// Adapters of every family beside the same weights merged.
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "adapted.h"
#include "caprl/ops/low_rank.h"

namespace caprl::test {
namespace {

class LoraFamilies : public testing::TestWithParam<size_t> {
 protected:
  LoraFamilies()
      : adapted_(Model::random(config(), 1, with_lora(lora_of(2)))),
        merged_(Model::random(config(), 1, {.dtype = at::kDouble, .train = TrainedParts::kAll})) {
    const at::NoGradGuard no_grad;
    for (const ParameterSpec& spec : merged_->parameters().specs())
      adapted_->parameters().get(spec.name).copy_(values(spec));
    train_b(*adapted_);
    merge_into(*adapted_, *merged_);
  }
  static const json& row() { return families()[GetParam()]; }
  static const json& config() { return row()["config"]; }

  /// Of the family's cases: the last has images, if the family reads any.
  std::vector<BranchedSequence> trees() const {
    std::vector<BranchedSequence> trees;
    for (const auto& [name, one] : row()["cases"].items())
      trees.push_back({prompt_of(row(), one), {one["response"].get<std::vector<int64_t>>()}});
    return trees;
  }

  std::unique_ptr<Model> adapted_, merged_;
};

TEST_P(LoraFamilies, LogitsAreThoseOfTheMergedWeights) {
  const BranchedBatch batch = pack(trees(), *adapted_);
  const at::Tensor got = logits_of(*adapted_, batch), want = logits_of(*merged_, batch);
  EXPECT_LT(max_difference(got, want), 1e-10);
  copy_weights(*adapted_, *merged_);  // the base
  const at::Tensor base = logits_of(*merged_, batch);
  EXPECT_GT(max_difference(got, base), 1e-3);
  const ops::AdaptersOff off;
  EXPECT_TRUE(at::equal(logits_of(*adapted_, batch), base));
}

/// With the gradient G of the merged weight: dA = scale · Bᵀ G, dB = scale · G Aᵀ.
TEST_P(LoraFamilies, GradientsFollowFromThoseOfTheMergedWeights) {
  const BranchedBatch batch = pack(trees(), *adapted_);
  for (const Model* model : {adapted_.get(), merged_.get()})
    torch::autograd::backward({logits_of(*model, batch).sin().sum()}, {});
  const double scale = adapted_->parameters().lora().scale();
  const auto modules = adapted_modules(*adapted_);
  EXPECT_GE(modules.size(), 7u);
  for (const std::string& module : modules) {
    const at::Tensor g = merged_->parameters().get(module + ".weight").grad();
    const at::Tensor a = adapter_a(*adapted_, module), b = adapter_b(*adapted_, module);
    ASSERT_TRUE(a.grad().defined() && b.grad().defined()) << module << ": nothing uses it";
    EXPECT_GT(a.grad().norm().item<double>(), 0) << module;
    const double size = 1 + g.abs().max().item<double>();
    EXPECT_LT(max_difference(a.grad(), scale * b.detach().t().matmul(g)), 1e-10 * size) << module;
    EXPECT_LT(max_difference(b.grad(), scale * g.matmul(a.detach().t())), 1e-10 * size) << module;
    EXPECT_FALSE(adapted_->parameters().get(module + ".weight").requires_grad()) << module;
  }
}

TEST_P(LoraFamilies, EveryLinearLayerHasOne) {
  const auto modules = adapted_modules(*adapted_);
  const std::set<std::string> adapted(modules.begin(), modules.end());
  for (const ParameterSpec& spec : merged_->parameters().specs()) {
    const bool table = spec.name.find("embed") != std::string::npos || spec.name == kHeadName;
    const bool linear = spec.shape.size() == 2 && !table && spec.name.ends_with(".weight");
    EXPECT_EQ(adapted.contains(spec.name.substr(0, spec.name.find_last_of('.'))) &&
                  spec.name.ends_with(".weight"),
              linear)
        << spec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LoraFamilies, testing::Range<size_t>(0, families().size()),
                         [](const auto& info) { return family_name(info.param); });

/// The first layer's input has no gradient, its adapters have.
TEST(Lora, LayersThatAreComputedAgainGiveTheSameGradients) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"),
                                 with_lora(lora_of(3), at::kDouble, TrainedParts::kLanguage));
  train_b(*model);
  const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {{5, 6, 7}, {8}}}};
  const BranchedBatch batch = pack(trees, *model);
  std::vector<at::Tensor> gradients[3];
  for (const auto recompute :
       {ops::Recompute::kNone, ops::Recompute::kMlp, ops::Recompute::kFull}) {
    model->set_recompute(recompute);
    torch::autograd::backward({logits_of(*model, batch).sin().sum()}, {});
    for (const auto& slice : model->parameters().trainable_slices()) {
      at::Tensor& grad = model->parameters().get(slice.name).mutable_grad();
      ASSERT_TRUE(grad.defined()) << slice.name;
      gradients[static_cast<int>(recompute)].push_back(grad);
      grad = at::Tensor();
    }
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    EXPECT_TRUE(at::equal(gradients[1][i], gradients[0][i])) << i;
    EXPECT_TRUE(at::equal(gradients[2][i], gradients[0][i])) << i;
  }
}

double loss_of(const Model& model, const BranchedBatch& batch) {
  const at::NoGradGuard no_grad;
  return logits_of(model, batch).sin().sum().item<double>();
}

TEST(Lora, GradientsAreFiniteDifferences) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), with_lora(lora_of(3)));
  train_b(*model);
  const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {{5, 6, 7}, {8}}}};
  const BranchedBatch batch = pack(trees, *model);
  torch::autograd::backward({logits_of(*model, batch).sin().sum()}, {});
  constexpr double kStep = 1e-5;
  for (const char* name :
       {"model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.layers.1.mlp.down_proj.lora_B.weight", "visual.blocks.0.attn.qkv.lora_B.weight",
        "visual.merger.mlp.0.lora_A.weight"}) {
    const at::Tensor& weight = model->parameters().get(name);
    double* value = weight.detach().data_ptr<double>() + weight.numel() / 2;
    const double before = *value, grad = weight.grad().flatten()[weight.numel() / 2].item<double>();
    *value = before + kStep;
    const double above = loss_of(*model, batch);
    *value = before - kStep;
    const double below = loss_of(*model, batch);
    *value = before;
    EXPECT_NEAR(grad, (above - below) / (2 * kStep), 1e-5 * (1 + std::abs(grad))) << name;
  }
}

TEST(Lora, StartsAsTheBaseModel) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto base = Model::load(model_dir("qwen2_5_vl_hub"), {.dtype = dtype});
    const auto model = Model::load(model_dir("qwen2_5_vl_hub"), with_lora(lora_of(4), dtype));
    const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {{5, 6, 7}}}};
    const BranchedBatch batch = pack(trees, *model);
    EXPECT_TRUE(at::equal(logits_of(*model, batch), logits_of(*base, batch)));
  }
}

TEST(Lora, FirstValuesArePeftsAndHaveAnAddress) {
  const auto load = [](uint64_t seed, at::ScalarType dtype) {
    return Model::load(model_dir("qwen2_5_vl_hub"),
                       with_lora(lora_of(8), dtype, TrainedParts::kAll, seed));
  };
  const auto one = load(1, at::kFloat), same = load(1, at::kDouble), other = load(2, at::kFloat);
  for (const std::string& module : adapted_modules(*one)) {
    const at::Tensor a = adapter_a(*one, module).detach();
    EXPECT_EQ(adapter_b(*one, module).abs().max().item<double>(), 0) << module;
    EXPECT_TRUE(at::equal(a.to(at::kDouble), adapter_a(*same, module).detach())) << module;
    EXPECT_FALSE(at::equal(a, adapter_a(*other, module).detach())) << module;
    // Uniform in ±1/√K: deviation 1/√(3K), four standard errors of mean and of deviation.
    const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
    const auto count = static_cast<double>(a.numel());
    EXPECT_LE(a.abs().max().item<double>(), bound * (1 + 1e-6)) << module;
    EXPECT_GT(a.abs().max().item<double>(), 0.8 * bound) << module;
    EXPECT_NEAR(a.mean().item<double>(), 0, 4 * bound / std::sqrt(3 * count)) << module;
    EXPECT_NEAR(a.std().item<double>(), bound / std::sqrt(3), 4 * bound / std::sqrt(5 * count))
        << module;
  }
  EXPECT_FALSE(at::equal(adapter_a(*one, "model.layers.0.mlp.gate_proj"),
                         adapter_a(*one, "model.layers.0.mlp.up_proj")));
}

TEST(Lora, ScaleIsAlphaOverRankOrItsRoot) {
  LoraConfig lora = lora_of(4);
  lora.alpha = 6;
  EXPECT_EQ(lora.scale(), 1.5);
  lora.use_rslora = true;
  EXPECT_EQ(lora.scale(), 3);
}

std::unique_ptr<Model> hub(const LoraConfig& lora, TrainedParts parts = TrainedParts::kAll) {
  return Model::load(model_dir("qwen2_5_vl_hub"), with_lora(lora, at::kFloat, parts));
}

std::set<std::string> ends(const std::vector<std::string>& modules) {
  std::set<std::string> ends;
  for (const std::string& module : modules)
    ends.insert(module.substr(module.find_last_of('.') + 1));
  return ends;
}

TEST(Lora, TargetsAreEndsOfNames) {
  using testing::Each;
  using testing::StartsWith;
  LoraConfig lora = lora_of(2, {"q_proj", "mlp.0"});
  EXPECT_EQ(ends(adapted_modules(*hub(lora))), (std::set<std::string>{"q_proj", "0"}));
  lora.target_modules = {"all-linear"};
  EXPECT_THAT(adapted_modules(*hub(lora, TrainedParts::kLanguage)), Each(StartsWith("model.")));
  const auto merger = adapted_modules(*hub(lora, TrainedParts::kLanguageAndMerger));
  EXPECT_THAT(merger, testing::Contains("visual.merger.mlp.0"));
  EXPECT_THAT(merger, testing::Not(testing::Contains(StartsWith("visual.blocks"))));
  lora.exclude_modules = {"qkv", "down_proj", "visual.merger.mlp.2"};
  const auto rest = adapted_modules(*hub(lora));
  EXPECT_THAT(rest, testing::Contains("visual.merger.mlp.0"));
  EXPECT_EQ(ends(rest), (std::set<std::string>{"0", "gate_proj", "k_proj", "o_proj", "proj",
                                               "q_proj", "up_proj", "v_proj"}));
  // transformers' own names will do, too.
  lora = lora_of(2, {"model.language_model.layers.1.self_attn.o_proj"});
  EXPECT_EQ(adapted_modules(*hub(lora)),
            std::vector<std::string>{"model.layers.1.self_attn.o_proj"});
}

TEST(Lora, WhatOneProductReadsLiesSideBySide) {
  const auto model = hub(lora_of(2));
  const auto follows = [&](const char* one, const char* other) {
    const std::string layer = "model.layers.0.";
    const at::Tensor a = adapter_a(*model, layer + one), b = adapter_a(*model, layer + other);
    return a.storage_offset() + a.numel() == b.storage_offset();
  };
  EXPECT_TRUE(follows("self_attn.q_proj", "self_attn.k_proj"));
  EXPECT_TRUE(follows("self_attn.k_proj", "self_attn.v_proj"));
  EXPECT_TRUE(follows("mlp.gate_proj", "mlp.up_proj"));
}

TEST(Lora, OnlyAdaptersAndSavedModulesAreTrained) {
  LoraConfig lora = lora_of(2, {"q_proj", "v_proj"});
  lora.modules_to_save = {"merger"};
  const auto model = hub(lora, TrainedParts::kLanguage);
  for (const auto& slice : model->parameters().trainable_slices())
    EXPECT_TRUE(slice.name.ends_with("q_proj.lora_A.weight") ||
                slice.name.ends_with("q_proj.lora_B.weight") ||
                slice.name.ends_with("v_proj.lora_A.weight") ||
                slice.name.ends_with("v_proj.lora_B.weight") ||
                slice.name.starts_with("visual.merger."))
        << slice.name;
  EXPECT_TRUE(model->parameters().is_trainable("visual.merger.ln_q.weight"));
  EXPECT_TRUE(model->parameters().is_trainable("visual.merger.mlp.2.bias"));
}

TEST(Lora, WhatDoesNotFitIsSaid) {
  const auto refuse = [](LoraConfig lora, std::initializer_list<std::string> words) {
    expect_error<InputError>([&] { hub(lora, TrainedParts::kLanguage); }, words);
  };
  refuse(lora_of(2, {"q_proj", "q_porj"}),
         {"target_modules: 'q_porj' is no linear layer", "gate_proj", "q_proj"});
  refuse(lora_of(2, {"qkv"}), {"target_modules: 'qkv'"});  // of the tower, which is not trained
  refuse(lora_of(2, {"lm_head"}), {"target_modules: 'lm_head'"});
  refuse(lora_of(2, {""}), {"target_modules: ''"});
  refuse(lora_of(2, {}), {"target_modules: expected names, got none"});
  expect_error<InputError>(
      [] {
        Model::load(model_dir("qwen2"), with_lora(lora_of(2), at::kFloat, TrainedParts::kMerger));
      },
      {"the parts of Qwen2ForCausalLM that are trained have no linear layer"});
  refuse(
      lora_of(4096),
      {"lora_rank: expected at most 16, as model.layers.0.self_attn.k_proj is [16, 32]; got 4096"});
  LoraConfig lora = lora_of(2, {"q_proj"});
  lora.exclude_modules = {"self_attn.q_proj"};
  refuse(lora, {"exclude_modules: leaves no layer"});
  lora.exclude_modules = {"x"};
  refuse(lora, {"exclude_modules: 'x' is no linear layer"});
  lora.exclude_modules = {};
  lora.modules_to_save = {"lm_haed"};
  refuse(lora, {"modules_to_save: 'lm_haed' is no module of Qwen2_5_VL"});
}

TEST(Lora, DescriptionsCountWhatIsTrained) {
  const json config = read_json(model_dir("qwen2_5_vl_hub") / "config.json");
  const auto model = hub(lora_of(2), TrainedParts::kLanguage);
  const auto description = describe_model(config, "c.json", TrainedParts::kLanguage, lora_of(2));
  int64_t values = 0;
  for (const ParameterSpec& spec : description.trained)
    values += c10::multiply_integers(spec.shape);
  EXPECT_EQ(values, model->parameters().num_trainable());
  EXPECT_EQ(description.trained.size(), description.adapters.size());
  EXPECT_EQ(describe_model(config, "c.json", TrainedParts::kNone).trained.size(), 0u);
}

}  // namespace
}  // namespace caprl::test
