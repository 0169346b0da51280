#include "decoder_config.h"

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

void read_heads(const ConfigReader& text, const DecoderDefaults& defaults, DecoderConfig& config) {
  config.num_heads = text.positive("num_attention_heads", kMaxWidth);
  config.num_kv_heads = text.positive_or("num_key_value_heads", config.num_heads, kMaxWidth);
  if (text.has("head_dim") || defaults.head_dim > 0) {
    config.head_dim = text.positive_or("head_dim", defaults.head_dim, kMaxWidth);
  } else {
    if (config.hidden_size % config.num_heads != 0)
      text.fail("hidden_size", "{} is no multiple of num_attention_heads {}", config.hidden_size,
                config.num_heads);
    config.head_dim = config.hidden_size / config.num_heads;
  }
  if (config.num_heads % config.num_kv_heads != 0)
    text.fail("num_attention_heads", "{} is no multiple of num_key_value_heads {}",
              config.num_heads, config.num_kv_heads);
  if (config.head_dim % 2 != 0)
    text.fail(text.has("head_dim") ? "head_dim" : "hidden_size",
              "gives heads of {}; rotary positions need an even head size", config.head_dim);
}

}  // namespace

void require_activation(const ConfigReader& config, std::string_view expected) {
  const std::string act = config.string_or("hidden_act", std::string(expected));
  if (act != expected)
    config.fail("hidden_act", "is \"{}\"; only \"{}\" is supported", act, expected);
}

DecoderConfig read_decoder_config(const ConfigReader& text, const DecoderDefaults& defaults) {
  DecoderConfig config;
  config.vocab_size = text.positive("vocab_size", kMaxWidth);
  config.hidden_size = text.positive("hidden_size", kMaxWidth);
  config.intermediate_size = text.positive("intermediate_size", kMaxWidth);
  config.num_layers = text.positive("num_hidden_layers", kMaxLayers);
  read_heads(text, defaults, config);
  config.rms_norm_eps = text.positive_number_or("rms_norm_eps", defaults.rms_norm_eps);
  config.initializer_range = text.positive_number_or("initializer_range", 0.02);
  config.eos_ids = text.integer_list("eos_token_id");
  if (text.has("max_position_embeddings"))
    config.max_positions = text.positive("max_position_embeddings", kMaxPositions);
  require_activation(text, "silu");
  require_full_attention(text);
  config.rope = read_rope(text, defaults.rope, config.head_dim);
  return config;
}

}  // namespace caprl
