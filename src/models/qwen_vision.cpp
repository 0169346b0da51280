#include "qwen_vision.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/core/error.h"
#include "decoder_config.h"
#include "vision_attention.h"

namespace caprl {
namespace {

constexpr auto kBits = ops::RowBits::kAny;
constexpr double kNormEps = 1e-6;        // fixed in the architecture
constexpr double kRopeTheta = 10'000.0;  // so is this
constexpr int64_t kMaxSide = 4096;       // of patches and merged blocks

int64_t merged_size(const QwenVisionConfig& config) {
  return config.block.hidden_size * config.merge_size * config.merge_size;
}

class Merger {
 public:
  Merger(const MergerConfig& names, const QwenVisionConfig& config, const Parameters& parameters)
      : columns_(merged_size(config)), after_(names.norm_after_merge) {
    const auto get = [&](const std::string& name) { return parameters.get(names.prefix + name); };
    norm_weight_ = get(names.norm + ".weight");
    norm_bias_ = get(names.norm + ".bias");
    fc1_ = parameters.linear(names.prefix + names.fc1);
    fc2_ = parameters.linear(names.prefix + names.fc2);
  }

  /// [P, H] → [M, out].
  at::Tensor forward(const at::Tensor& hidden_PH) const {
    const at::Tensor x = after_ ? hidden_PH.view({-1, columns_}) : hidden_PH;
    const at::Tensor blocks =
        at::layer_norm(x, {x.size(1)}, norm_weight_, norm_bias_, kNormEps).view({-1, columns_});
    return ops::linear(at::gelu(ops::linear(blocks, fc1_, kBits)), fc2_, kBits);
  }

 private:
  int64_t columns_;
  bool after_;
  at::Tensor norm_weight_, norm_bias_;
  ops::LinearWeights fc1_, fc2_;
};

void add_merger_specs(const MergerConfig& names, const QwenVisionConfig& config,
                      std::vector<ParameterSpec>& specs) {
  const int64_t merged = merged_size(config);
  const auto both = [&](const std::string& name, std::vector<int64_t> shape) {
    specs.push_back({names.prefix + name + ".weight", shape});
    specs.push_back({names.prefix + name + ".bias", {shape[0]}});
  };
  both(names.norm, {names.norm_after_merge ? merged : config.block.hidden_size});
  both(names.fc1, {merged, merged});
  both(names.fc2, {config.out_size, merged});
}

/// Two neighbours in a table of `side` places, and their weights, for each of `size` places spread
/// over it from end to end.
struct Taps {
  at::Tensor places, weights;  // [size, 2]
};

Taps linear_taps(int64_t size, int64_t side, const at::TensorOptions& real) {
  const at::Tensor at_table = at::arange(size, real) * (side - 1) / std::max<int64_t>(size - 1, 1);
  const at::Tensor floor = at_table.floor();
  const at::Tensor offsets = at::arange(2, real);
  const at::Tensor weights =
      (1 - (at_table.unsqueeze(1) - floor.unsqueeze(1) - offsets).abs()).clamp_min(0);
  return {(floor.unsqueeze(1) + offsets).clamp(0, side - 1).to(at::kLong), weights};
}

class QwenVisionTower : public VisionTower {
 public:
  QwenVisionTower(const QwenVisionConfig& config, const Parameters& parameters);
  ImageFeatures forward(const at::Tensor& pixel_values_PC,
                        std::span<const std::array<int64_t, 3>> grids) const override;

 private:
  at::Tensor learned_positions(std::span<const std::array<int64_t, 3>> grids) const;

  QwenVisionConfig config_;
  at::Tensor patch_weight_HC_, patch_bias_, positions_SH_;
  std::vector<VitBlock> blocks_;
  Merger merger_;
  std::vector<Merger> deepstack_mergers_;
  GridCache grids_;
};

at::TensorOptions real_options(const at::Tensor& weight) {
  const auto real = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::TensorOptions(weight.device()).dtype(real);
}

QwenVisionTower::QwenVisionTower(const QwenVisionConfig& config, const Parameters& parameters)
    : config_(config),
      patch_weight_HC_(parameters.get("visual.patch_embed.proj.weight")),
      merger_(config.merger, config, parameters),
      grids_({.merge_size = config.merge_size,
              .window_blocks = GridOptions::kNoWindows,
              .head_dim = config.block.hidden_size / config.block.num_heads,
              .rope_theta = kRopeTheta,
              .table = real_options(patch_weight_HC_)}) {
  if (config.patch_bias) patch_bias_ = parameters.get("visual.patch_embed.proj.bias");
  if (config.position_side > 0) positions_SH_ = parameters.get("visual.pos_embed.weight");
  for (int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(config.block, fmt::format("visual.blocks.{}.", i), parameters);
  for (const MergerConfig& names : config.deepstack_mergers)
    deepstack_mergers_.emplace_back(names, config, parameters);
}

/// The learned table spread over each image, bilinearly; patches in the order of merged blocks.
at::Tensor QwenVisionTower::learned_positions(std::span<const std::array<int64_t, 3>> grids) const {
  const int64_t side = config_.position_side, merge = config_.merge_size;
  const at::TensorOptions real = real_options(positions_SH_);
  std::vector<at::Tensor> images;
  for (const auto& [t, h, w] : grids) {
    const Taps rows = linear_taps(h, side, real), columns = linear_taps(w, side, real);
    const at::Tensor places =
        rows.places.view({h, 1, 2, 1}) * side + columns.places.view({1, w, 1, 2});
    const at::Tensor weights = rows.weights.view({h, 1, 2, 1}) * columns.weights.view({1, w, 1, 2});
    const at::Tensor taps = positions_SH_.index_select(0, places.reshape(-1));
    images.push_back((taps.view({h, w, 4, -1}) * weights.view({h, w, 4, 1}))
                         .sum(2)
                         .view({h / merge, merge, w / merge, merge, -1})
                         .transpose(1, 2)
                         .reshape({h * w, -1}));
  }
  return at::cat(images).to(positions_SH_.scalar_type());
}

ImageFeatures QwenVisionTower::forward(const at::Tensor& pixel_values_PC,
                                       std::span<const std::array<int64_t, 3>> grids) const {
  const auto images = std::make_shared<const ImageBatch>(grids, grids_, config_.merge_size,
                                                         patch_weight_HC_.device());
  check_patches(pixel_values_PC, images->num_patches, config_.columns());
  at::Tensor hidden = at::linear(
      pixel_values_PC.to(patch_weight_HC_.scalar_type()),
      patch_weight_HC_.view({config_.block.hidden_size, config_.columns()}), patch_bias_);
  if (positions_SH_.defined()) hidden = hidden + learned_positions(grids);
  hidden = images->arrange(hidden);
  const auto attend = [images, table = images->table()](const at::Tensor& q, const at::Tensor& k,
                                                        const at::Tensor& v) {
    const auto [turned_q, turned_k] = ops::rotate(q, k, table);
    return attend_images(*images, turned_q, turned_k, v);
  };
  ImageFeatures result;
  for (int64_t i = 0; i < config_.depth; ++i) {
    hidden = blocks_[i].forward(hidden, attend, recompute_);
    const auto& deep = config_.deepstack_blocks;
    const auto found = std::find(deep.begin(), deep.end(), i);
    if (found != deep.end())
      result.deep.push_back(
          images->restore(deepstack_mergers_[found - deep.begin()].forward(hidden)));
  }
  result.features = images->restore(merger_.forward(hidden));
  return result;
}

}  // namespace

void read_qwen_vision(const ConfigReader& vision, int64_t depth, int64_t patch_size,
                      QwenVisionConfig& config) {
  config.depth = vision.positive_or("depth", depth, kMaxLayers);
  config.block.num_heads = vision.positive_or("num_heads", 16, kMaxWidth);
  config.block.norm_eps = kNormEps;
  config.in_channels = vision.positive_or("in_channels", vision.positive_or("in_chans", 3, 64), 64);
  config.patch_size = vision.positive_or("patch_size", patch_size, kMaxSide);
  config.temporal_patch_size = vision.positive_or("temporal_patch_size", 2, 64);
  config.merge_size = vision.positive_or("spatial_merge_size", 2, 64);
  const int64_t hidden = config.block.hidden_size, heads = config.block.num_heads;
  if (hidden % heads != 0 || hidden / heads % 4 != 0)
    vision.fail(
        "num_heads",
        "{} does not divide the width {} into heads of a multiple of 4, as rotary positions "
        "of rows and columns need",
        heads, hidden);
}

VisionPart describe_qwen_vision(const QwenVisionConfig& config) {
  VisionPart part;
  const int64_t hidden = config.block.hidden_size;
  part.out_size = config.out_size;
  part.merge_size = config.merge_size;
  part.specs = {{"visual.patch_embed.proj.weight",
                 {hidden, config.in_channels, config.temporal_patch_size, config.patch_size,
                  config.patch_size}}};
  if (config.patch_bias) part.specs.push_back({"visual.patch_embed.proj.bias", {hidden}});
  if (config.position_side > 0)
    part.specs.push_back(
        {"visual.pos_embed.weight", {config.position_side * config.position_side, hidden}});
  for (int64_t i = 0; i < config.depth; ++i)
    add_vit_block_specs(config.block, fmt::format("visual.blocks.{}.", i), part.specs);
  add_merger_specs(config.merger, config, part.specs);
  for (const MergerConfig& merger : config.deepstack_mergers)
    add_merger_specs(merger, config, part.specs);
  part.build = [config](const Parameters& parameters) {
    return std::make_unique<QwenVisionTower>(config, parameters);
  };
  return part;
}

}  // namespace caprl
