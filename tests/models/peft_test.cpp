// PEFT's files: names, what is in them, the way back, and what is refused.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <map>

#include "adapted.h"
#include "caprl/core/files.h"

namespace caprl::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kHub = "qwen2_5_vl_hub";

std::unique_ptr<Model> trained(const LoraConfig& lora, TrainedParts parts = TrainedParts::kAll,
                               const std::string& name = kHub) {
  auto model = Model::load(model_dir(name), with_lora(lora, at::kDouble, parts));
  train_b(*model);
  return model;
}

class Peft : public testing::Test {
 protected:
  /// An adapter of rank 2 in folder().
  std::unique_ptr<Model> save(const LoraConfig& lora = lora_of(2),
                              TrainedParts parts = TrainedParts::kAll) {
    auto model = trained(lora, parts);
    save_adapter(stored_adapter(*model, model_dir(kHub)), model_dir(kHub), folder());
    return model;
  }
  json config() const { return read_json(folder() / kAdapterConfig); }
  void set(const char* key, const json& value) const {
    json changed = config();
    changed[key] = value;
    write_file_atomic(folder() / kAdapterConfig, changed.dump());
  }
  std::filesystem::path folder() const { return temp_.path() / "adapter"; }
  at::Tensor logits(const Model& model) const {
    const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {{5, 6, 7}, {8}}}};
    const at::NoGradGuard no_grad;
    return logits_of(model, pack(trees, model));
  }

  TempFolder temp_;
};

/// tools/golden/adapters.py wrote what PEFT saves for the same models and targets.
TEST_F(Peft, NamesAndShapesArePefts) {
  const json golden = read_json(model_dir("peft.json"));
  ASSERT_GE(golden.size(), 3u);
  for (const auto& one : golden) {
    SCOPED_TRACE(one["name"].get<std::string>());
    LoraConfig lora = lora_of(one["r"], one["target_modules"]);
    lora.alpha = one["lora_alpha"];
    lora.modules_to_save = one["modules_to_save"].get<std::vector<std::string>>();
    const auto model = trained(lora, TrainedParts::kAll, one["model"]);
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const auto& [name, tensor] : stored_adapter(*model, model_dir(one["model"])).tensors)
      shapes[name] = tensor.sizes().vec();
    EXPECT_EQ(shapes, (one["tensors"].get<std::map<std::string, std::vector<int64_t>>>()));
  }
}

/// Modules as transformers (and the models' own code, of those it has not) calls them.
TEST_F(Peft, NamesOfEveryFamilyAreThoseOfItsModules) {
  const std::map<std::string, std::vector<std::string>> modules = {
      {"Qwen25", {"model.layers.0.self_attn.q_proj"}},
      {"InternLM2", {"model.layers.0.attention.wqkv", "model.layers.2.feed_forward.w3"}},
      {"Qwen2VL",
       {"model.language_model.layers.0.mlp.up_proj", "model.visual.blocks.0.attn.qkv",
        "model.visual.merger.mlp.0"}},
      {"Qwen3VL",
       {"model.language_model.layers.0.self_attn.o_proj", "model.visual.blocks.0.mlp.linear_fc1",
        "model.visual.deepstack_merger_list.0.linear_fc2"}},
      {"InternVLHFlayoutQwen25",
       {"model.language_model.layers.0.self_attn.k_proj",
        "model.vision_tower.encoder.layer.0.attention.projection_layer",
        "model.multi_modal_projector.linear_1"}},
      {"InternVLoriginallayoutQwen3",
       {"language_model.model.layers.0.self_attn.v_proj", "vision_model.encoder.layers.0.attn.qkv",
        "mlp1.1"}}};
  size_t found = 0;
  for (size_t i = 0; i < families().size(); ++i) {
    const auto expected = modules.find(family_name(i));
    if (expected == modules.end()) continue;
    ++found;
    const json& config = families()[i]["config"];
    write_file_atomic(temp_.path() / "config.json", config.dump());
    const auto model = Model::random(config, 1, with_lora(lora_of(2)));
    std::set<std::string> names;
    for (const auto& [name, tensor] : stored_adapter(*model, temp_.path()).tensors)
      names.insert(name);
    EXPECT_EQ(names.size(), 2 * adapted_modules(*model).size());
    for (const std::string& module : expected->second)
      for (const char* end : {".lora_A.weight", ".lora_B.weight"})
        EXPECT_TRUE(names.contains("base_model.model." + module + end))
            << expected->first << ": " << module;
  }
  EXPECT_EQ(found, modules.size());
}

/// But for what transformers computes in float32: norms, rotary positions, softmax.
TEST_F(Peft, AnAdapterOfPeftComputesTheSame) {
  constexpr double kFloatRounding = 5e-5;
  const SafetensorsFile golden(model_dir("peft") / "logits.safetensors");
  const auto prompt = [](const Model& model) {
    const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {}}};
    return pack(trees, model);
  };
  const auto merged = load_merged(model_dir(kHub), model_dir("peft"), {.dtype = at::kDouble});
  EXPECT_LT(max_difference(logits_of(*merged, prompt(*merged)), golden.tensor("logits")),
            kFloatRounding);
  LoraConfig lora = lora_of(2);
  lora.alpha = 5;
  const auto adapted = Model::load(model_dir(kHub), with_lora(lora));
  load_adapter(*adapted, model_dir(kHub), model_dir("peft"));
  EXPECT_LT(max_difference(logits_of(*adapted, prompt(*adapted)).detach(), golden.tensor("logits")),
            kFloatRounding);
}

TEST_F(Peft, ConfigIsThatOfTheAdapter) {
  LoraConfig lora = lora_of(2);
  lora.alpha = 16;
  lora.use_rslora = true;
  save(lora, TrainedParts::kLanguage);
  const json written = config();
  EXPECT_EQ(written["peft_type"], "LORA");
  EXPECT_EQ(written["task_type"], "CAUSAL_LM");
  EXPECT_EQ(written["r"], 2);
  EXPECT_TRUE(written["lora_alpha"].is_number_integer());
  EXPECT_EQ(written["lora_alpha"], 16);
  EXPECT_EQ(written["use_rslora"], true);
  EXPECT_EQ(written["lora_dropout"], 0.0);
  EXPECT_EQ(written["bias"], "none");
  EXPECT_EQ(written["modules_to_save"], nullptr);
  EXPECT_EQ(written["base_model_name_or_path"], model_dir(kHub).string());
  // The tower's layers are called gate_proj, … too: whole names tell them apart.
  const std::vector<std::string> targets = written["target_modules"];
  EXPECT_EQ(targets.size(), 14u);
  EXPECT_THAT(targets, testing::Each(testing::StartsWith("model.language_model.layers.")));
}

TEST_F(Peft, EndsOfNamesWhereTheySayIt) {
  save(lora_of(2, {"q_proj", "v_proj"}));
  EXPECT_THAT(config()["target_modules"].get<std::vector<std::string>>(),
              ElementsAre("q_proj", "v_proj"));
}

TEST_F(Peft, OtherFilesOfTheModelAreThereButItsWeights) {
  save();
  EXPECT_TRUE(std::filesystem::exists(folder() / "config.json"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "model.safetensors"));
}

TEST_F(Peft, ComesBackBitForBit) {
  LoraConfig lora = lora_of(2);
  lora.modules_to_save = {"merger"};
  const auto model = save(lora);
  const auto again =
      Model::load(model_dir(kHub), with_lora(lora, at::kDouble, TrainedParts::kAll, 9));
  EXPECT_FALSE(at::equal(logits(*again), logits(*model)));
  load_adapter(*again, model_dir(kHub), folder());
  EXPECT_TRUE(at::equal(again->parameters().trainable_buffer().detach(),
                        model->parameters().trainable_buffer().detach()));
  EXPECT_TRUE(at::equal(logits(*again), logits(*model)));
}

TEST_F(Peft, AnAdapterDirectoryLoadsMerged) {
  LoraConfig lora = lora_of(2);
  lora.modules_to_save = {"visual.merger.mlp.0"};
  const auto model = save(lora);
  const auto merged = Model::load(folder(), {.dtype = at::kDouble});
  EXPECT_LT(max_difference(logits(*merged), logits(*model)), 1e-10);
  EXPECT_EQ(merged->parameters().specs().size(),
            Model::load(model_dir(kHub), {})->parameters().specs().size());
}

TEST_F(Peft, SavedModelsAreMerged) {
  const auto model = save();
  save_model(*model, model_dir(kHub), temp_.path() / "merged");
  const auto merged = Model::load(temp_.path() / "merged", {.dtype = at::kDouble});
  EXPECT_LT(max_difference(logits(*merged), logits(*model)), 1e-5);  // stored as float
  const auto other = Model::load(folder(), {.dtype = at::kFloat});
  for (const ParameterSpec& spec : other->parameters().specs())
    EXPECT_LT(max_difference(other->parameters().get(spec.name).detach(),
                             merged->parameters().get(spec.name).detach()),
              1e-6)
        << spec.name;
}

/// What is added to a bfloat16 weight is not bfloat16 itself.
TEST_F(Peft, MergingRoundsOnce) {
  save();
  const auto exact = Model::load(folder(), {.dtype = at::kDouble});
  const auto merged = Model::load(folder(), {.dtype = at::kBFloat16});
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const at::Tensor want = exact->parameters().get(name).to(at::kBFloat16);
  const at::Tensor got = merged->parameters().get(name);
  EXPECT_GT((got == want).to(at::kFloat).mean().item<float>(), 0.99);
}

TEST_F(Peft, WhatDoesNotFitIsRefused) {
  save();
  const auto refused = [&](const LoraConfig& lora) {
    const auto model = Model::load(model_dir(kHub), with_lora(lora));
    const at::Tensor before = model->parameters().trainable_buffer().detach().clone();
    const std::string message =
        input_error([&] { load_adapter(*model, model_dir(kHub), folder()); });
    EXPECT_TRUE(at::equal(model->parameters().trainable_buffer().detach(), before));
    return message;
  };
  EXPECT_THAT(refused(lora_of(3)),
              HasSubstr("expected an adapter of rank 3 and scale 1, got 2 and 1.5"));
  EXPECT_THAT(refused(lora_of(2, {"q_proj"})), HasSubstr("is not trained in this configuration"));
  LoraConfig lora = lora_of(2);
  lora.modules_to_save = {"merger"};
  EXPECT_THAT(refused(lora), HasSubstr("is missing"));

  const json whole = config();
  const auto unsupported = [&](const char* key, const json& value) {
    set(key, value);
    const std::string message = input_error([&] { Model::load(folder(), {}); });
    write_file_atomic(folder() / kAdapterConfig, whole.dump());
    return message;
  };
  EXPECT_THAT(unsupported("peft_type", "IA3"), HasSubstr("peft_type is \"IA3\""));
  EXPECT_THAT(unsupported("use_dora", true), HasSubstr("use_dora is true"));
  EXPECT_THAT(unsupported("bias", "all"), HasSubstr("bias is \"all\""));
  EXPECT_THAT(unsupported("rank_pattern", {{"q_proj", 4}}), HasSubstr("rank_pattern is set"));
  EXPECT_THAT(unsupported("r", 4), HasSubstr("lora_A.weight: expected numbers of shape [4, "));
  EXPECT_THAT(unsupported("base_model_name_or_path", "/nowhere"),
              HasSubstr("base_model_name_or_path is \"/nowhere\"; expected the directory"));
}

TEST_F(Peft, TensorsThatBelongNowhereAreRefused) {
  save();
  const auto rewrite = [&](const std::function<void(NamedTensors&)>& change) {
    NamedTensors tensors;
    {
      const SafetensorsFile file(folder() / kAdapterWeights);
      for (const auto& entry : file.entries())
        tensors.emplace_back(entry.name, file.tensor(entry.name).clone());
    }
    const NamedTensors before = tensors;
    change(tensors);
    write_safetensors(folder() / kAdapterWeights, tensors);
    const std::string message = input_error([&] { Model::load(folder(), {}); });
    write_safetensors(folder() / kAdapterWeights, before);
    return message;
  };
  const std::string layer = "base_model.model.model.language_model.layers.7.mlp.up_proj.";
  EXPECT_THAT(rewrite([&](NamedTensors& tensors) {
                tensors.emplace_back(layer + "lora_A.weight", at::zeros({2, 32}));
              }),
              HasSubstr("1 of its "));
  EXPECT_THAT(rewrite([&](NamedTensors& tensors) { tensors.pop_back(); }), HasSubstr("lacks its"));
  EXPECT_THAT(rewrite([&](NamedTensors& tensors) { tensors.back().first = "x.weight"; }),
              HasSubstr("expected names that begin with base_model.model., got x.weight"));
}

}  // namespace
}  // namespace caprl::test
