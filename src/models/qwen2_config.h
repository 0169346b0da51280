// Shape of a Qwen2 / Qwen2.5 decoder and the part of config.json that gives it.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "config_reader.h"

namespace caprl {

struct Qwen2Config {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_layers = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  double rms_norm_eps = 0, rope_theta = 0, initializer_range = 0;
  /// Rotary frequencies of the temporal, height and width axis; sums to head_dim / 2. Empty: one
  /// axis.
  std::vector<int64_t> mrope_section;
  std::vector<int64_t> eos_ids;
};

struct Qwen2Defaults {
  double rms_norm_eps, rope_theta;
  std::vector<int64_t> mrope_section;  // empty: the family has no multimodal positions
};

/// `text` is the object that holds the decoder's keys. `defaults` are those of transformers for
/// absent keys.
Qwen2Config read_qwen2_config(const ConfigReader& text, const Qwen2Defaults& defaults);

inline constexpr int64_t kMaxWidth = int64_t{1} << 24;  // of any dimension in a config
inline constexpr int64_t kMaxLayers = 10'000;

/// Refuses any activation but the one that the family's kernels compute.
void require_silu(const ConfigReader& config);

}  // namespace caprl
