// config.json in both published forms, and everything that can be wrong with it.
#include <gmock/gmock.h>

#include <numeric>

#include "model_files.h"
#include "support/json.h"

namespace caprl::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

int64_t count(const std::vector<ParameterSpec>& specs) {
  int64_t total = 0;
  for (const auto& spec : specs)
    total += std::accumulate(spec.shape.begin(), spec.shape.end(), int64_t{1}, std::multiplies<>());
  return total;
}

/// Qwen2.5-VL-3B as published: most of the vision tower's keys are left to their defaults.
json published_3b() {
  return json_of(R"({
    "architectures": ["Qwen2_5_VLForConditionalGeneration"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653, "vision_token_id": 151654,
    "image_token_id": 151655, "video_token_id": 151656, "hidden_act": "silu", "hidden_size": 2048,
    "initializer_range": 0.02, "intermediate_size": 11008, "max_position_embeddings": 128000, "max_window_layers": 70,
    "model_type": "qwen2_5_vl", "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
    "torch_dtype": "bfloat16", "transformers_version": "4.41.2", "use_cache": true, "use_sliding_window": false,
    "vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
      "num_heads": 16, "in_chans": 3, "out_hidden_size": 2048, "patch_size": 14, "spatial_merge_size": 2,
      "spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2,
      "temporal_patch_size": 2},
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vocab_size": 151936})");
}

/// The same as transformers 5 writes it.
json nested_3b() {
  json config = published_3b();
  json text = {{"rope_parameters",
                {{"rope_theta", 1e6}, {"rope_type", "default"}, {"mrope_section", {16, 24, 24}}}},
               {"layer_types", json::array({"full_attention"})},
               {"head_dim", nullptr},
               {"sliding_window", nullptr}};
  for (const char* key :
       {"attention_dropout", "bos_token_id", "eos_token_id", "hidden_act", "hidden_size",
        "initializer_range", "intermediate_size", "num_attention_heads", "num_hidden_layers",
        "num_key_value_heads", "rms_norm_eps", "use_sliding_window", "vocab_size"}) {
    text[key] = config[key];
    config.erase(key);
  }
  for (const char* key : {"rope_scaling", "rope_theta", "torch_dtype"}) config.erase(key);
  config["dtype"] = "bfloat16";
  config["text_config"] = text;
  return config;
}

TEST(Config, PublishedShapeOf3B) {
  json sparse = published_3b();
  for (const char* key :
       {"depth", "intermediate_size", "num_heads", "patch_size", "spatial_merge_size",
        "window_size", "fullatt_block_indexes", "temporal_patch_size", "hidden_act"})
    sparse["vision_config"].erase(key);
  for (const json& config : {published_3b(), nested_3b(), sparse}) {
    const ModelDescription model = describe_model(config, "config.json");
    EXPECT_EQ(model.parameters.size(), 824u);
    EXPECT_EQ(count(model.parameters), 3'754'622'976);
    const ModelTraits& traits = model.traits;
    EXPECT_EQ(traits.architecture, "Qwen2_5_VLForConditionalGeneration");
    EXPECT_EQ(traits.vocab_size, 151936);
    EXPECT_EQ(traits.hidden_size, 2048);
    EXPECT_EQ(traits.num_layers, 36);
    EXPECT_EQ(traits.num_heads, 16);
    EXPECT_EQ(traits.num_kv_heads, 2);
    EXPECT_EQ(traits.head_dim, 128);
    EXPECT_THAT(traits.eos_ids, ElementsAre(151645));
    EXPECT_EQ(traits.image_token_id, 151655);
    EXPECT_EQ(traits.merge_size, 2);
    EXPECT_THAT(traits.vision_token_ids, ElementsAre(151652, 151653, 151654, 151655, 151656));
  }
}

TEST(Config, SizesByPart) {
  int64_t vision = 0;
  for (const auto& spec : describe_model(published_3b(), "").parameters)
    if (spec.name.starts_with("visual.")) vision += count({spec});
  EXPECT_EQ(vision, 668'684'288);
}

TEST(Config, TyingIsReadWhereverItStands) {
  const auto has_head = [](const json& config) {
    const auto specs = describe_model(config, "").parameters;
    return std::any_of(specs.begin(), specs.end(),
                       [](const auto& spec) { return spec.name == "lm_head.weight"; });
  };
  json config = nested_3b();
  EXPECT_FALSE(has_head(config));
  config["tie_word_embeddings"] = false;
  EXPECT_TRUE(has_head(config));
  config["text_config"]["tie_word_embeddings"] = true;
  EXPECT_FALSE(has_head(config));
  config.erase("tie_word_embeddings");
  EXPECT_FALSE(has_head(config));
}

TEST(Config, TextModelOf3B) {
  const json config = {{"architectures", {"Qwen2ForCausalLM"}},
                       {"hidden_size", 2048},
                       {"intermediate_size", 11008},
                       {"num_hidden_layers", 36},
                       {"num_attention_heads", 16},
                       {"num_key_value_heads", 2},
                       {"vocab_size", 151936},
                       {"tie_word_embeddings", true},
                       {"eos_token_id", {151645, 151643}}};
  const ModelDescription model = describe_model(config, "config.json");
  EXPECT_EQ(count(model.parameters), 3'085'938'688);
  EXPECT_EQ(model.parameters.size(), 434u);
  EXPECT_THAT(model.traits.eos_ids, ElementsAre(151645, 151643));
  EXPECT_FALSE(model.traits.image_token_id);
}

struct Fault {
  const char* change;  // JSON merge patch
  const char* message;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.change; }

class ConfigFault : public testing::TestWithParam<Fault> {};

TEST_P(ConfigFault, NamesFileAndKey) {
  json config = published_3b();
  config.merge_patch(json_of(GetParam().change));
  EXPECT_EQ(input_error([&] { describe_model(config, "DIR/config.json"); }),
            std::string("DIR/config.json: ") + GetParam().message);
}

TEST(Config, UnknownArchitecturesAreToldTheKnownOnes) {
  json config = published_3b();
  config["architectures"] = {"BertModel"};
  const std::string message = input_error([&] { describe_model(config, "c.json"); });
  EXPECT_THAT(message, testing::StartsWith("c.json: architectures names the unknown \"BertModel\"; "
                                           "known ones: Qwen2ForCausalLM, "));
  EXPECT_THAT(message, HasSubstr("Qwen2_5_VLForConditionalGeneration"));
  config["architectures"] = nullptr;
  EXPECT_THAT(input_error([&] { describe_model(config, "c.json"); }),
              testing::StartsWith("c.json: architectures is missing or empty; known ones: Qwen2"));
}

INSTANTIATE_TEST_SUITE_P(
    Flat, ConfigFault,
    testing::Values(
        Fault{R"({"architectures": "Qwen2ForCausalLM"})",
              "architectures must be a list of strings, got \"Qwen2ForCausalLM\""},
        Fault{R"({"hidden_size": null})",
              "hidden_size is missing; expected an integer from 1 to 16777216"},
        Fault{R"({"hidden_size": "2048"})",
              "hidden_size must be an integer from 1 to 16777216, got \"2048\""},
        Fault{R"({"hidden_size": 2048.5})",
              "hidden_size must be an integer from 1 to 16777216, got 2048.5"},
        Fault{R"({"num_hidden_layers": 0})",
              "num_hidden_layers must be an integer from 1 to 10000, got 0"},
        Fault{R"({"vocab_size": -5})", "vocab_size must be an integer from 1 to 16777216, got -5"},
        Fault{R"({"vocab_size": 18446744073709551615})",
              "vocab_size must be an integer from 1 to 16777216, got 18446744073709551615"},
        Fault{R"({"num_attention_heads": 15})",
              "hidden_size 2048 is no multiple of num_attention_heads 15"},
        Fault{R"({"num_key_value_heads": 3})",
              "num_attention_heads 16 is no multiple of num_key_value_heads 3"},
        Fault{R"({"head_dim": 64})",
              "rope_scaling.mrope_section must be three counts that sum to half the head size 64, "
              "got [16, 24, 24] (sum 64)"},
        Fault{R"({"head_dim": 63})",
              "head_dim gives heads of 63; rotary positions need an even head size"},
        Fault{R"({"hidden_size": 2064})",
              "hidden_size gives heads of 129; rotary positions need an even head size"},
        Fault{R"({"rms_norm_eps": 0})", "rms_norm_eps must be a positive number, got 0"},
        Fault{R"({"rms_norm_eps": "small"})", "rms_norm_eps must be a number, got \"small\""},
        Fault{R"({"hidden_act": "gelu"})", "hidden_act is \"gelu\"; only \"silu\" is supported"},
        Fault{R"({"attention_dropout": 0.1})",
              "attention_dropout is not 0; dropout is not supported"},
        Fault{R"({"use_sliding_window": true})",
              "use_sliding_window is true; sliding window attention is not supported"},
        Fault{R"({"use_sliding_window": 1})", "use_sliding_window must be true or false, got 1"},
        Fault{R"({"layer_types": ["full_attention", "sliding_attention"]})",
              "layer_types has \"sliding_attention\"; only \"full_attention\" is supported"},
        Fault{R"({"rope_scaling": {"type": "yarn"}})",
              "rope_scaling.type is \"yarn\"; supported are \"default\", \"linear\", \"llama3\", "
              "\"dynamic\" and \"mrope\""},
        Fault{R"({"rope_scaling": {"mrope_section": [16, 24, 23]}})",
              "rope_scaling.mrope_section must be three counts that sum to half the head size 128, "
              "got [16, 24, 23] "
              "(sum 63)"},
        Fault{R"({"rope_scaling": {"mrope_section": [40, 24]}})",
              "rope_scaling.mrope_section must be three counts that sum to half the head size 128, "
              "got [40, 24] "
              "(sum 64)"},
        Fault{R"({"rope_scaling": {"mrope_section": [16, "24", 24]}})",
              "rope_scaling.mrope_section must be a list of integers, got [16,\"24\",24]"},
        Fault{R"({"rope_scaling": [1]})", "expected rope_scaling to be an object, got array"},
        Fault{R"({"rope_theta": -1})", "rope_theta must be a positive number, got -1"},
        Fault{R"({"eos_token_id": "<|im_end|>"})",
              "eos_token_id must be an integer or a list of integers, got \"<|im_end|>\""},
        Fault{R"({"tie_word_embeddings": "yes"})",
              "tie_word_embeddings must be true or false, got \"yes\""},
        Fault{R"({"image_token_id": 151936})",
              "image_token_id 151936 is outside the vocabulary of 151936"},
        Fault{R"({"image_token_id": -1})", "image_token_id must be a token id, got -1"},
        Fault{R"({"text_config": []})", "expected text_config to be an object, got array"}));

INSTANTIATE_TEST_SUITE_P(
    Vision, ConfigFault,
    testing::Values(
        Fault{R"({"vision_config": null})", "vision_config is missing"},
        Fault{R"({"vision_config": {"hidden_size": null}})",
              "vision_config.hidden_size is missing; expected an integer from 1 to 16777216"},
        Fault{R"({"vision_config": {"out_hidden_size": null}})",
              "vision_config.out_hidden_size is missing; expected an integer from 1 to 16777216"},
        Fault{R"({"vision_config": {"out_hidden_size": 3584}})",
              "vision_config.out_hidden_size 3584 contradicts the text model's hidden_size 2048"},
        Fault{R"({"vision_config": {"num_heads": 12}})",
              "vision_config.hidden_size 1280 is no multiple of num_heads 12"},
        Fault{R"({"vision_config": {"num_heads": 640}})",
              "vision_config.hidden_size / num_heads is 2; rotary positions of rows and columns "
              "need a multiple of 4"},
        Fault{R"({"vision_config": {"window_size": 27}})",
              "vision_config.window_size 27 is less than one merged block of 28 × 28 pixels"},
        Fault{R"({"vision_config": {"spatial_patch_size": 16}})",
              "vision_config.spatial_patch_size contradicts patch_size 14"},
        Fault{R"({"vision_config": {"in_channels": 1}})",
              "vision_config.in_chans contradicts in_channels 1"},
        Fault{R"({"vision_config": {"fullatt_block_indexes": [-1]}})",
              "vision_config.fullatt_block_indexes has the negative index -1"},
        Fault{R"({"vision_config": {"fullatt_block_indexes": 7}})",
              "vision_config.fullatt_block_indexes must be a list of integers, got 7"},
        Fault{R"({"vision_config": {"hidden_act": "quick_gelu"}})",
              "vision_config.hidden_act is \"quick_gelu\"; only \"silu\" is supported"},
        Fault{R"({"vision_config": "none"})",
              "expected vision_config to be an object, got string"}));

TEST(Config, NestedErrorsNameTheSection) {
  json config = nested_3b();
  config["text_config"]["num_attention_heads"] = 15;
  EXPECT_EQ(input_error([&] { describe_model(config, "c.json"); }),
            "c.json: text_config.hidden_size 2048 is no multiple of num_attention_heads 15");
  config = nested_3b();
  config["text_config"]["rope_parameters"]["rope_type"] = "linear";
  EXPECT_EQ(input_error([&] { describe_model(config, "c.json"); }),
            "c.json: text_config.rope_parameters.factor is missing; expected a positive number");
}

TEST(Config, TextModelRefusesMultimodalPositions) {
  json config = read_json(model_dir("qwen2") / "config.json");
  config["rope_scaling"] = {{"type", "mrope"}};
  EXPECT_EQ(input_error([&] { describe_model(config, "c.json"); }),
            "c.json: rope_scaling.type is \"mrope\"; supported are \"default\", \"linear\", "
            "\"llama3\", \"dynamic\"");
  config = read_json(model_dir("qwen2") / "config.json");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8},
                            {"low_freq_factor", 4},
                            {"high_freq_factor", 4},
                            {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(input_error([&] { describe_model(config, "c.json"); }),
            "c.json: rope_scaling.high_freq_factor 4 must be above low_freq_factor 4");
}

}  // namespace
}  // namespace caprl::test
