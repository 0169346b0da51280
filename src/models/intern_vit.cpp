#include "intern_vit.h"

#include <ATen/ATen.h>

#include "caprl/core/error.h"
#include "caprl/ops/attention.h"
#include "vision_grid.h"

namespace caprl {
namespace {

constexpr auto kBits = ops::RowBits::kAny;
constexpr double kProjectorNormEps = 1e-5;  // fixed in the architecture

class InternVitTower : public VisionTower {
 public:
  InternVitTower(const InternVitConfig& config, const Parameters& parameters);
  ImageFeatures forward(const at::Tensor& pixel_values,
                        std::span<const std::array<int64_t, 3>> grids) const override;

 private:
  at::Tensor encode(const at::Tensor& patches) const;
  at::Tensor project(const at::Tensor& features_TPH) const;

  InternVitConfig config_;
  at::Tensor patch_weight_, patch_bias_, class_token_, positions_;
  std::vector<VitBlock> blocks_;
  at::Tensor norm_weight_, norm_bias_;
  ops::LinearWeights fc1_, fc2_;
};

InternVitTower::InternVitTower(const InternVitConfig& config, const Parameters& parameters)
    : config_(config),
      patch_weight_(parameters.get("visual.patch_embed.weight")),
      patch_bias_(parameters.get("visual.patch_embed.bias")),
      class_token_(parameters.get("visual.cls_token")),
      positions_(parameters.get("visual.pos_embed")) {
  for (int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(config.block, fmt::format("visual.blocks.{}.", i), parameters);
  const auto both = [&](const std::string& name, at::Tensor& weight, at::Tensor& bias) {
    weight = parameters.get("visual.merger." + name + ".weight");
    bias = parameters.get("visual.merger." + name + ".bias");
  };
  both(config.projector.norm, norm_weight_, norm_bias_);
  fc1_ = parameters.linear("visual.merger." + config.projector.fc1);
  fc2_ = parameters.linear("visual.merger." + config.projector.fc2);
}

/// Patches [T · P, C] of all tiles → [T, P, H], the class token dropped.
at::Tensor InternVitTower::encode(const at::Tensor& patches) const {
  const int64_t hidden_size = config_.block.hidden_size, heads = config_.block.num_heads;
  const int64_t places = config_.side() * config_.side();
  const at::Tensor embedded = at::linear(patches.to(patch_weight_.scalar_type()),
                                         patch_weight_.view({hidden_size, -1}), patch_bias_)
                                  .view({-1, places, hidden_size});
  const int64_t tiles = embedded.size(0);
  at::Tensor hidden =
      at::cat({class_token_.expand({tiles, 1, hidden_size}), embedded}, 1) + positions_;
  hidden = hidden.view({-1, hidden_size});
  const auto attend = [=](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    const auto batch = [=](const at::Tensor& x) {
      return x.reshape({tiles, places + 1, heads, hidden_size / heads}).transpose(1, 2);
    };
    return ops::attention(batch(q), batch(k), batch(v)).transpose(1, 2).reshape({-1, hidden_size});
  };
  for (const VitBlock& block : blocks_) hidden = block.forward(hidden, attend, recompute_);
  return hidden.view({tiles, places + 1, hidden_size}).narrow(1, 1, places);
}

/// Pixel shuffle (the published "v2") and projector: [T, P, H] → [T · P / shuffle², out].
at::Tensor InternVitTower::project(const at::Tensor& features_TPH) const {
  const int64_t s = config_.shuffle, side = config_.side() / s;
  const int64_t columns = config_.block.hidden_size * s * s;
  const at::Tensor squares = features_TPH.reshape({-1, side, s, side, s, config_.block.hidden_size})
                                 .permute({0, 1, 3, 2, 4, 5})
                                 .reshape({-1, columns});
  const at::Tensor normed =
      at::layer_norm(squares, {columns}, norm_weight_, norm_bias_, kProjectorNormEps);
  return ops::linear(at::gelu(ops::linear(normed, fc1_, kBits)), fc2_, kBits);
}

ImageFeatures InternVitTower::forward(const at::Tensor& pixel_values,
                                      std::span<const std::array<int64_t, 3>> grids) const {
  int64_t patches = 0;
  for (const auto& [t, h, w] : grids) {
    if (h != config_.side() || w != config_.side())
      throw InputError(
          "the vision tower reads tiles of {} × {} patches, got {} × {}: preprocessor_config.json "
          "and config.json do not belong together",
          config_.side(), config_.side(), h, w);
    patches += t * h * w;
  }
  check_patches(pixel_values, patches,
                config_.in_channels * config_.patch_size * config_.patch_size);
  return {project(encode(pixel_values)), {}};
}

}  // namespace

VisionPart describe_intern_vit(const InternVitConfig& config) {
  const int64_t hidden = config.block.hidden_size;
  const int64_t merged = hidden * config.shuffle * config.shuffle;
  VisionPart part;
  part.out_size = config.out_size;
  part.merge_size = config.shuffle;
  part.specs = {{"visual.cls_token", {1, 1, hidden}},
                {"visual.patch_embed.weight",
                 {hidden, config.in_channels, config.patch_size, config.patch_size}},
                {"visual.patch_embed.bias", {hidden}},
                {"visual.pos_embed", {1, config.side() * config.side() + 1, hidden}}};
  for (int64_t i = 0; i < config.depth; ++i)
    add_vit_block_specs(config.block, fmt::format("visual.blocks.{}.", i), part.specs);
  const auto both = [&](const std::string& name, std::vector<int64_t> shape) {
    part.specs.push_back({"visual.merger." + name + ".weight", shape});
    part.specs.push_back({"visual.merger." + name + ".bias", {shape[0]}});
  };
  both(config.projector.norm, {merged});
  both(config.projector.fc1, {config.out_size, merged});
  both(config.projector.fc2, {config.out_size, config.out_size});
  part.build = [config](const Parameters& parameters) {
    return std::make_unique<InternVitTower>(config, parameters);
  };
  return part;
}

}  // namespace caprl
