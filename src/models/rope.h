// Rotary positions of a decoder as its config describes them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "caprl/ops/rotary.h"
#include "config_reader.h"

namespace caprl {

inline constexpr int64_t kMaxPositions = int64_t{1} << 40;  // in a config

struct RopeConfig {
  double theta = 0;
  /// linear: every frequency divided by `factor` (Chen et al., arXiv 2306.15595). llama3: low
  /// frequencies divided by `factor`, high ones kept, those between blended (as transformers does).
  enum class Scaling { kNone, kLinear, kLlama3 } scaling = Scaling::kNone;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_positions = 0;  // llama3
  /// Positions from here on are refused; 0: no bound. Set for "dynamic" scaling, which changes
  /// nothing before it.
  int64_t max_positions = 0;
  /// Frequencies of the temporal, height and width axis; sums to head_dim / 2. Empty: one axis.
  std::vector<int64_t> mrope_section;
  bool interleaved = false;  // t h w t h w … t t (Qwen3-VL) instead of t … h … w …
};

struct RopeDefaults {
  double theta = 10'000.0;
  std::vector<int64_t> mrope_section = {};  // empty: the family has no multimodal positions
  bool interleaved = false;
};

/// Reads rope_theta and rope_scaling (published configs) or rope_parameters (transformers 5).
RopeConfig read_rope(const ConfigReader& text, const RopeDefaults& defaults, int64_t head_dim);

/// Angles of positions, as transformers computes them: frequencies in fp32 (fp64 for a double
/// model), cosines and sines rounded to the model's dtype.
class Rope {
 public:
  Rope(const RopeConfig& config, int64_t head_dim, at::TensorOptions model);

  /// positions [3, N]; with one axis row 0 is read. InputError for positions out of bounds.
  ops::RotaryTable table(const at::Tensor& positions) const;

 private:
  int64_t max_positions_;
  at::ScalarType dtype_;
  at::Tensor frequencies_;  // [D/2]
  at::Tensor axis_;  // [D/2] int64: which row of the positions turns a frequency; undefined: row 0
};

}  // namespace caprl
