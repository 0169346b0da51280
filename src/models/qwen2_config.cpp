#include "qwen2_config.h"

#include <numeric>

namespace caprl {
namespace {

void require_full_attention(const ConfigReader& text) {
  if (text.boolean_or("use_sliding_window", false))
    text.fail("use_sliding_window", "is true; sliding window attention is not supported");
  for (const std::string& type : text.strings_or("layer_types", {}))
    if (type != "full_attention")
      text.fail("layer_types", "has \"{}\"; only \"full_attention\" is supported", type);
  if (text.number_or("attention_dropout", 0.0) != 0.0)
    text.fail("attention_dropout", "is not 0; dropout is not supported");
}

void read_rope(const ConfigReader& text, const Qwen2Defaults& defaults, Qwen2Config& config) {
  config.rope_theta = text.positive_number_or("rope_theta", defaults.rope_theta);
  config.mrope_section = defaults.mrope_section;
  // The key of published configs, then that of transformers 5.
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto rope = text.section(key);
    if (!rope) continue;
    config.rope_theta = rope->positive_number_or("rope_theta", config.rope_theta);
    const bool multimodal = !defaults.mrope_section.empty();
    for (const char* type_key : {"rope_type", "type"}) {
      const std::string type = rope->string_or(type_key, "default");
      if (type != "default" && !(multimodal && type == "mrope"))
        rope->fail(type_key, "is \"{}\"; only \"default\"{} is supported", type,
                   multimodal ? " or \"mrope\"" : "");
    }
    if (multimodal) config.mrope_section = rope->integers_or("mrope_section", config.mrope_section);
  }
  if (config.mrope_section.empty()) return;
  const auto& section = config.mrope_section;
  const int64_t sum = std::accumulate(section.begin(), section.end(), int64_t{0});
  if (section.size() != 3 || section[0] < 0 || section[1] < 0 || section[2] < 0 ||
      sum != config.head_dim / 2)
    text.fail("rope_scaling.mrope_section",
              "must be three counts that sum to half the head size {}, got [{}] (sum {})",
              config.head_dim, fmt::join(section, ", "), sum);
}

}  // namespace

void require_silu(const ConfigReader& config) {
  const std::string act = config.string_or("hidden_act", "silu");
  if (act != "silu") config.fail("hidden_act", "is \"{}\"; only \"silu\" is supported", act);
}

Qwen2Config read_qwen2_config(const ConfigReader& text, const Qwen2Defaults& defaults) {
  Qwen2Config config;
  config.vocab_size = text.positive("vocab_size", kMaxWidth);
  config.hidden_size = text.positive("hidden_size", kMaxWidth);
  config.intermediate_size = text.positive("intermediate_size", kMaxWidth);
  config.num_layers = text.positive("num_hidden_layers", kMaxLayers);
  config.num_heads = text.positive("num_attention_heads", kMaxWidth);
  config.num_kv_heads = text.positive_or("num_key_value_heads", config.num_heads, kMaxWidth);
  if (config.hidden_size % config.num_heads != 0)
    text.fail("hidden_size", "{} is no multiple of num_attention_heads {}", config.hidden_size,
              config.num_heads);
  if (config.num_heads % config.num_kv_heads != 0)
    text.fail("num_attention_heads", "{} is no multiple of num_key_value_heads {}",
              config.num_heads, config.num_kv_heads);
  config.head_dim = config.hidden_size / config.num_heads;
  if (config.head_dim % 2 != 0)
    text.fail("hidden_size", "/ num_attention_heads is {}; rotary positions need an even head size",
              config.head_dim);
  if (text.positive_or("head_dim", config.head_dim, kMaxWidth) != config.head_dim)
    text.fail("head_dim", "contradicts hidden_size / num_attention_heads = {}", config.head_dim);
  config.rms_norm_eps = text.positive_number_or("rms_norm_eps", defaults.rms_norm_eps);
  config.initializer_range = text.positive_number_or("initializer_range", 0.02);
  config.eos_ids = text.integer_list("eos_token_id");
  require_silu(text);
  require_full_attention(text);
  read_rope(text, defaults, config);
  return config;
}

}  // namespace caprl
