#include "rope.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <numbers>
#include <numeric>

namespace caprl {
namespace {

void read_scaling(const ConfigReader& text, const ConfigReader& rope, bool multimodal,
                  RopeConfig& config) {
  // Older releases of transformers call the key "type"; some files have both.
  std::string type = rope.string_or("rope_type", rope.string_or("type", "default"));
  if (multimodal && rope.string_or("type", "") == "mrope") type = "default";
  if (type == "default") return;
  if (type == "linear") {
    config.scaling = RopeConfig::Scaling::kLinear;
    config.factor = rope.positive_number("factor");
  } else if (type == "llama3") {
    config.scaling = RopeConfig::Scaling::kLlama3;
    config.factor = rope.positive_number("factor");
    config.low_freq_factor = rope.positive_number("low_freq_factor");
    config.high_freq_factor = rope.positive_number("high_freq_factor");
    if (config.high_freq_factor <= config.low_freq_factor)
      rope.fail("high_freq_factor", "{} must be above low_freq_factor {}", config.high_freq_factor,
                config.low_freq_factor);
    config.original_positions = rope.positive("original_max_position_embeddings", kMaxPositions);
  } else if (type == "dynamic") {
    config.max_positions = text.positive("max_position_embeddings", kMaxPositions);
  } else {
    rope.fail(rope.has("rope_type") ? "rope_type" : "type",
              "is \"{}\"; supported are \"default\", \"linear\", \"llama3\", \"dynamic\"{}", type,
              multimodal ? " and \"mrope\"" : "");
  }
}

void check_section(const ConfigReader& text, const std::vector<int64_t>& section,
                   int64_t head_dim) {
  const int64_t sum = std::accumulate(section.begin(), section.end(), int64_t{0});
  if (section.size() != 3 || section[0] < 0 || section[1] < 0 || section[2] < 0 ||
      sum != head_dim / 2)
    text.fail("rope_scaling.mrope_section",
              "must be three counts that sum to half the head size {}, got [{}] (sum {})", head_dim,
              fmt::join(section, ", "), sum);
}

/// Which axis turns each frequency.
std::vector<int64_t> axes(const RopeConfig& config) {
  std::vector<int64_t> axis;
  const auto& section = config.mrope_section;
  for (int64_t row = 0; row < static_cast<int64_t>(section.size()); ++row)
    axis.insert(axis.end(), section[row], config.interleaved ? 0 : row);
  if (config.interleaved)
    for (int64_t row = 1; row < 3; ++row)
      for (int64_t i = 0; i < section[row]; ++i) axis[3 * i + row] = row;
  return axis;
}

at::Tensor scale_like_llama3(const at::Tensor& frequencies, const RopeConfig& config) {
  const auto original = static_cast<double>(config.original_positions);
  const at::Tensor wavelengths = 2 * std::numbers::pi / frequencies;
  const at::Tensor smooth = (original / wavelengths - config.low_freq_factor) /
                            (config.high_freq_factor - config.low_freq_factor);
  const at::Tensor slowed = frequencies / config.factor;
  const at::Tensor blended = (1 - smooth) * slowed + smooth * frequencies;
  return at::where(
      wavelengths > original / config.low_freq_factor, slowed,
      at::where(wavelengths < original / config.high_freq_factor, frequencies, blended));
}

}  // namespace

RopeConfig read_rope(const ConfigReader& text, const RopeDefaults& defaults, int64_t head_dim) {
  RopeConfig config;
  config.theta = text.positive_number_or("rope_theta", defaults.theta);
  config.mrope_section = defaults.mrope_section;
  config.interleaved = defaults.interleaved;
  const bool multimodal = !defaults.mrope_section.empty();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto rope = text.section(key);
    if (!rope) continue;
    config.theta = rope->positive_number_or("rope_theta", config.theta);
    read_scaling(text, *rope, multimodal, config);
    if (multimodal) config.mrope_section = rope->integers_or("mrope_section", config.mrope_section);
  }
  if (multimodal) check_section(text, config.mrope_section, head_dim);
  if (config.interleaved)
    for (int64_t row = 1; row < 3; ++row)
      if (3 * config.mrope_section[row] > head_dim / 2)
        text.fail("rope_scaling.mrope_section", "[{}] cannot be interleaved",
                  fmt::join(config.mrope_section, ", "));
  return config;
}

Rope::Rope(const RopeConfig& config, int64_t head_dim, at::TensorOptions model)
    : max_positions_(config.max_positions), dtype_(model.dtype().toScalarType()) {
  const auto real = dtype_ == at::kDouble ? at::kDouble : at::kFloat;
  frequencies_ = ops::inverse_frequencies(head_dim, config.theta,
                                          at::TensorOptions(model.device()).dtype(real));
  if (config.scaling == RopeConfig::Scaling::kLinear) frequencies_ = frequencies_ / config.factor;
  if (config.scaling == RopeConfig::Scaling::kLlama3)
    frequencies_ = scale_like_llama3(frequencies_, config);
  if (!config.mrope_section.empty()) axis_ = at::tensor(axes(config), at::kLong).to(model.device());
}

ops::RotaryTable Rope::table(const at::Tensor& positions) const {
  // Generation has refused longer sequences already, and must not wait for a GPU here.
  if (max_positions_ > 0 && positions.numel() > 0 && !c10::InferenceMode::is_enabled()) {
    const auto last = positions.max().item<int64_t>();
    if (last >= max_positions_)
      throw InputError(
          "a sequence has {} positions; rotary scaling of type \"dynamic\" is supported up to "
          "max_position_embeddings, {}",
          last + 1, max_positions_);
  }
  return ops::rotary_table(positions, frequencies_, axis_, dtype_);
}

}  // namespace caprl
