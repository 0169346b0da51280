// Shape of a decoder and the part of config.json that gives it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config_reader.h"
#include "rope.h"

namespace caprl {

/// A pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and a SwiGLU
/// feed-forward: Llama and everything that follows it.
struct DecoderConfig {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_layers = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  bool qkv_bias = false, output_bias = false;  // of the attention's projections
  bool qk_norm = false;       // RMSNorm of every query and key head before the rotation
  bool packed_qkv = false;    // one projection; per key head: its queries, the key, the value
  int64_t max_positions = 0;  // max_position_embeddings; 0: not said
  double rms_norm_eps = 0, initializer_range = 0;
  RopeConfig rope;
  std::vector<int64_t> eos_ids;
};

/// What a family fixes, and the values of transformers for absent keys.
struct DecoderDefaults {
  double rms_norm_eps = 1e-6;
  RopeDefaults rope = {};
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
};

/// The keys that all families share, from the object that holds them.
DecoderConfig read_decoder_config(const ConfigReader& text, const DecoderDefaults& defaults);

inline constexpr int64_t kMaxWidth = int64_t{1} << 24;  // of any dimension in a config
inline constexpr int64_t kMaxLayers = 10'000;

/// Refuses any activation but `expected`, which is what the family's kernels compute.
void require_activation(const ConfigReader& config, std::string_view expected);

}  // namespace caprl
