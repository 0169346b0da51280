#include "qwen2_5_vision.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/ops/rms_norm.h"
#include "vision_attention.h"

namespace caprl {
namespace {

constexpr double kNormEps = 1e-6;  // fixed in the architecture
constexpr auto kBits = ops::RowBits::kAny;

GridOptions grid_options(const Qwen25VisionConfig& config, const at::Tensor& weight) {
  const auto real = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return {.merge_size = config.merge_size,
          .window_blocks = config.window_size / config.merge_size / config.patch_size,
          .head_dim = config.hidden_size / config.num_heads,
          .rope_theta = config.rope_theta,
          .table = at::TensorOptions(weight.device()).dtype(real)};
}

}  // namespace

Qwen25VisionTower::Qwen25VisionTower(Qwen25VisionConfig config, const Parameters& parameters)
    : config_(std::move(config)),
      patch_weight_HC_(parameters.get("visual.patch_embed.proj.weight")),
      merger_norm_(parameters.get("visual.merger.ln_q.weight")),
      merger0_(parameters.linear("visual.merger.mlp.0")),
      merger2_(parameters.linear("visual.merger.mlp.2")),
      grids_(grid_options(config_, patch_weight_HC_)),
      trained_(parameters.any_trainable("visual.blocks.")) {
  for (int64_t i = 0; i < config_.depth; ++i) {
    const std::string block = fmt::format("visual.blocks.{}.", i);
    const auto linear = [&](const char* name) { return parameters.linear(block + name); };
    const auto& full = config_.full_attention_blocks;
    blocks_.push_back(
        {.norm1 = parameters.get(block + "norm1.weight"),
         .norm2 = parameters.get(block + "norm2.weight"),
         .qkv = linear("attn.qkv"),
         .proj = linear("attn.proj"),
         .feed_forward = {linear("mlp.gate_proj"), linear("mlp.up_proj"), linear("mlp.down_proj")},
         .full_attention = std::find(full.begin(), full.end(), i) != full.end()});
  }
}

at::Tensor Qwen25VisionTower::attend(const Block& block, const at::Tensor& hidden_PH,
                                     const ImageBatch& images,
                                     const ops::RotaryTable& table) const {
  const int64_t heads = config_.num_heads, head_dim = config_.hidden_size / heads;
  const auto qkv =
      ops::linear(hidden_PH, block.qkv, kBits).view({-1, 3, heads, head_dim}).unbind(1);
  const auto [q, k] = ops::rotate(qkv[0], qkv[1], table);
  return block.full_attention ? attend_images(images, q, k, qkv[2])
                              : attend_windows(images, q, k, qkv[2]);
}

at::Tensor Qwen25VisionTower::merge(const at::Tensor& normed_PH) const {
  const int64_t columns = config_.hidden_size * config_.merge_size * config_.merge_size;
  const at::Tensor blocks = normed_PH.view({-1, columns});
  return ops::linear(at::gelu(ops::linear(blocks, merger0_, kBits)), merger2_, kBits);
}

LayerStates Qwen25VisionTower::compute(size_t index, const LayerStates& states,
                                       const ImageBatch& images,
                                       const ops::RotaryTable& table) const {
  const Block& block = blocks_[index];
  const at::Tensor& next_norm =
      index + 1 < blocks_.size() ? blocks_[index + 1].norm1 : merger_norm_;
  return ops::gated_half(states.hidden, attend(block, states.normed, images, table),
                         {block.proj, block.norm2, block.feed_forward, next_norm, kNormEps, kBits},
                         recompute_);
}

ImageFeatures Qwen25VisionTower::forward(const at::Tensor& pixel_values_PC,
                                         std::span<const std::array<int64_t, 3>> grids) const {
  const auto images = std::make_shared<const ImageBatch>(grids, grids_, config_.merge_size,
                                                         patch_weight_HC_.device());
  check_patches(pixel_values_PC, images->num_patches, config_.columns());
  at::Tensor hidden = at::linear(pixel_values_PC.to(patch_weight_HC_.scalar_type()),
                                 patch_weight_HC_.view({config_.hidden_size, config_.columns()}));
  hidden = images->arrange(hidden);
  const ops::RotaryTable table = images->table();
  LayerStates states{hidden, ops::rms_norm(hidden, blocks_.front().norm1, kNormEps)};
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto block = [this, i, images, table](const LayerStates& x) {
      return compute(i, x, *images, table);
    };
    states = recompute_ == ops::Recompute::kFull ? computed_again(block, states, trained_)
                                                 : block(states);
  }
  return {images->restore(merge(states.normed)), {}};
}

}  // namespace caprl
