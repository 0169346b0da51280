#include "caprl/models/presets.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr const char* kQwen25Tiny = R"({
  "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "vocab_size": 512, "hidden_act": "silu", "attention_dropout": 0.0,
  "initializer_range": 0.02, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "max_position_embeddings": 32768, "max_window_layers": 2, "sliding_window": 32768, "use_sliding_window": false,
  "tie_word_embeddings": true, "use_cache": true, "torch_dtype": "float32",
  "bos_token_id": 500, "eos_token_id": 502})";

constexpr const char* kQwen25VlTiny = R"({
  "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "vocab_size": 512, "hidden_act": "silu", "attention_dropout": 0.0,
  "initializer_range": 0.02, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
  "max_position_embeddings": 32768, "max_window_layers": 2, "sliding_window": 32768, "use_sliding_window": false,
  "tie_word_embeddings": true, "use_cache": true, "torch_dtype": "float32",
  "bos_token_id": 500, "eos_token_id": 502, "vision_start_token_id": 503, "vision_end_token_id": 504,
  "vision_token_id": 505, "image_token_id": 506, "video_token_id": 507,
  "vision_config": {"model_type": "qwen2_5_vl", "depth": 2, "hidden_act": "silu", "hidden_size": 32,
    "intermediate_size": 64, "num_heads": 2, "in_chans": 3, "out_hidden_size": 64, "patch_size": 14,
    "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2, "window_size": 112,
    "fullatt_block_indexes": [1], "tokens_per_second": 2}})";

constexpr const char* kQwen25Text3b = R"({
  "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
  "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
  "num_key_value_heads": 2, "vocab_size": 151936, "hidden_act": "silu", "attention_dropout": 0.0,
  "initializer_range": 0.02, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "max_position_embeddings": 32768, "max_window_layers": 70, "sliding_window": 32768, "use_sliding_window": false,
  "tie_word_embeddings": true, "use_cache": true, "torch_dtype": "bfloat16",
  "bos_token_id": 151643, "eos_token_id": 151645})";

constexpr const char* kQwen25Vl3b = R"({
  "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
  "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
  "num_key_value_heads": 2, "vocab_size": 151936, "hidden_act": "silu", "attention_dropout": 0.0,
  "initializer_range": 0.02, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
  "max_position_embeddings": 128000, "max_window_layers": 70, "sliding_window": 32768, "use_sliding_window": false,
  "tie_word_embeddings": true, "use_cache": true, "torch_dtype": "bfloat16",
  "bos_token_id": 151643, "eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653,
  "vision_token_id": 151654, "image_token_id": 151655, "video_token_id": 151656,
  "vision_config": {"model_type": "qwen2_5_vl", "depth": 32, "hidden_act": "silu", "hidden_size": 1280,
    "intermediate_size": 3420, "num_heads": 16, "in_chans": 3, "out_hidden_size": 2048, "patch_size": 14,
    "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2, "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2}})";

constexpr std::array<std::pair<std::string_view, const char*>, 4> kPresets = {
    {{"qwen2_5_tiny", kQwen25Tiny},
     {"qwen2_5_vl_tiny", kQwen25VlTiny},
     {"qwen2_5_3b", kQwen25Text3b},
     {"qwen2_5_vl_3b", kQwen25Vl3b}}};

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, config] : kPresets) all.emplace_back(name);
    return all;
  }();
  return names;
}

nlohmann::json preset_config(std::string_view name) {
  for (const auto& [known, config] : kPresets)
    if (known == name) return nlohmann::json::parse(config);
  throw InputError("no preset is called \"{}\"; known ones: {}", name,
                   fmt::join(preset_names(), ", "));
}

}  // namespace caprl
