// The published experiments' configs, for models of the real sizes: what each says of the memory
// that it needs.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "caprl/core/config.h"
#include "caprl/core/files.h"
#include "caprl/models/presets.h"
#include "caprl/train/memory_plan.h"

namespace caprl {
namespace {

using nlohmann::json;

json text(const char* architecture, int64_t hidden, int64_t layers, int64_t heads, int64_t inner,
          bool tied) {
  return {{"architectures", {architecture}},
          {"hidden_size", hidden},
          {"num_hidden_layers", layers},
          {"num_attention_heads", heads},
          {"num_key_value_heads", 8},
          {"intermediate_size", inner},
          {"vocab_size", 151936},
          {"head_dim", 128},
          {"tie_word_embeddings", tied}};
}

json with_vision(const char* architecture, json decoder, json vision) {
  return {{"architectures", {architecture}},
          {"tie_word_embeddings", decoder["tie_word_embeddings"]},
          {"text_config", std::move(decoder)},
          {"vision_config", std::move(vision)}};
}

/// config.json of the directories that the configs name, as far as sizes go.
json config_of(const std::string& model) {
  if (model == "models/Qwen2.5-VL-3B-Instruct" || model == "models/joined" ||
      model.starts_with("models/pretrain_") || model == "models/UnifiedReward-2.0-qwen-3b")
    return preset_config("qwen2_5_vl_3b");
  if (model == "models/Qwen2.5-3B-Instruct") return preset_config("qwen2_5_3b");
  const json qwen3_4b = text("Qwen3ForCausalLM", 2560, 36, 32, 9728, true);
  if (model == "models/Qwen3-4B-Instruct") return qwen3_4b;
  if (model == "models/Qwen3-VL-4B-Instruct")
    return with_vision("Qwen3VLForConditionalGeneration", qwen3_4b,
                       {{"depth", 24},
                        {"hidden_size", 1024},
                        {"intermediate_size", 4096},
                        {"num_heads", 16},
                        {"deepstack_visual_indexes", {5, 11, 17}},
                        {"out_hidden_size", 2560}});
  EXPECT_EQ(model, "models/InternVL3_5-8B");
  json decoder = text("Qwen3ForCausalLM", 4096, 36, 32, 12288, false);
  decoder["model_type"] = "qwen3";
  return with_vision("InternVLForConditionalGeneration", decoder, {{"attention_bias", true}});
}

ModelDescription describe(const std::string& model, TrainedParts parts = TrainedParts::kNone,
                          const LoraConfig& lora = {}) {
  return model.empty() ? ModelDescription{} : describe_model(config_of(model), model, parts, lora);
}

/// What a config's comment says is what `bytes` plans.
void expect_said(const std::filesystem::path& file, const StepPlan& plan,
                 double (*bytes)(const StepPlan&, int64_t)) {
  const std::string content = read_file(file);
  std::smatch said;
  ASSERT_TRUE(std::regex_search(content, said, std::regex("([0-9]+) GB on each of ([0-9]+) GPUs")))
      << "planned: " << bytes(plan, 8) / 1e9 << " GB on each of 8 GPUs";
  EXPECT_EQ(std::llround(bytes(plan, std::stoll(said[2])) / 1e9), std::stoll(said[1]));
}

class Recipes : public testing::TestWithParam<const char*> {};

TEST_P(Recipes, SayWhatTheyNeed) {
  const auto file = std::filesystem::path(CAPRL_SOURCE_DIR) / "configs" / GetParam();
  GrpoConfig config;
  load_config(file, {}, config);
  config.validate();
  OtherModels others;
  for (const RewardTerm* term : config.reward.terms.active())
    if (const auto loaded = term->model()) others.judge = describe(loaded->dir);
  StepPlan plan =
      step_plan(config, describe(config.policy.model, config.policy.train, config.policy.lora),
                describe(config.reward.answerer.model), {}, others);
  plan.device_memory = machine_speeds("h100").memory;
  expect_said(file, plan,
              [](const StepPlan& plan, int64_t ranks) { return peak_memory(plan, ranks); });
}

INSTANTIATE_TEST_SUITE_P(Published, Recipes,
                         testing::Values("grpo_3b.yaml", "grpo_3b_paper.yaml",
                                         "grpo_qwen3vl_4b.yaml", "grpo_internvl3_5_8b.yaml",
                                         "baseline_judge_3b.yaml", "baseline_judge_unified_3b.yaml",
                                         "ablation_n.yaml", "ablation_questions.yaml",
                                         "ablation_filter.yaml", "grpo_3b_lora.yaml"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase_if(name, [](char c) { return !std::isalnum(c); });
                           return name;
                         });

class Pretraining : public testing::TestWithParam<const char*> {};

/// Captions of an image of LLaVA's size, or a conversation.
TEST_P(Pretraining, SaysWhatItNeeds) {
  const auto file = std::filesystem::path(CAPRL_SOURCE_DIR) / "configs" / GetParam();
  SftConfig config;
  load_config(file, {}, config);
  config.validate();
  const TypicalLengths lengths{
      .prompt = 1300, .image = 1250, .completion = 512, .longest_completion = 2048};
  const StepPlan plan =
      step_plan(config, describe(config.policy.model, config.policy.train), lengths);
  expect_said(file, plan, [](const StepPlan& plan, int64_t ranks) {
    return memory_by_phase(plan, ranks).back().total();
  });
}

INSTANTIATE_TEST_SUITE_P(Published, Pretraining,
                         testing::Values("pretrain_1_align.yaml", "pretrain_2_captions.yaml",
                                         "pretrain_3_instruct.yaml"),
                         [](const auto& info) {
                           return "stage" + std::string(info.param).substr(9, 1);
                         });

}  // namespace
}  // namespace caprl
