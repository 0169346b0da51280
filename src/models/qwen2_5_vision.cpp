#include "qwen2_5_vision.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>

#include "caprl/ops/linear.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/swiglu.h"
#include "vision_attention.h"

namespace caprl {
namespace {

constexpr double kNormEps = 1e-6;  // fixed in the architecture

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
      merger_weight0_(parameters.get("visual.merger.mlp.0.weight")),
      merger_bias0_(parameters.get("visual.merger.mlp.0.bias")),
      merger_weight2_(parameters.get("visual.merger.mlp.2.weight")),
      merger_bias2_(parameters.get("visual.merger.mlp.2.bias")),
      grids_(grid_options(config_, patch_weight_HC_)) {
  for (int64_t i = 0; i < config_.depth; ++i) {
    const auto get = [&](const char* name) {
      return parameters.get(fmt::format("visual.blocks.{}.{}", i, name));
    };
    const auto& full = config_.full_attention_blocks;
    blocks_.push_back({.norm1 = get("norm1.weight"),
                       .norm2 = get("norm2.weight"),
                       .qkv_weight = get("attn.qkv.weight"),
                       .qkv_bias = get("attn.qkv.bias"),
                       .proj_weight = get("attn.proj.weight"),
                       .proj_bias = get("attn.proj.bias"),
                       .gate_weight = get("mlp.gate_proj.weight"),
                       .gate_bias = get("mlp.gate_proj.bias"),
                       .up_weight = get("mlp.up_proj.weight"),
                       .up_bias = get("mlp.up_proj.bias"),
                       .down_weight = get("mlp.down_proj.weight"),
                       .down_bias = get("mlp.down_proj.bias"),
                       .full_attention = std::find(full.begin(), full.end(), i) != full.end()});
  }
}

at::Tensor Qwen25VisionTower::attention(const Block& block, const at::Tensor& hidden_PH,
                                        const ImageBatch& images,
                                        const ops::RotaryTable& table) const {
  const int64_t heads = config_.num_heads, head_dim = config_.hidden_size / heads;
  const auto qkv = at::linear(hidden_PH, block.qkv_weight, block.qkv_bias)
                       .view({-1, 3, heads, head_dim})
                       .unbind(1);
  const auto [q, k] = ops::rotate(qkv[0], qkv[1], table);
  const at::Tensor mixed = block.full_attention ? attend_images(images, q, k, qkv[2])
                                                : attend_windows(images, q, k, qkv[2]);
  return at::linear(mixed, block.proj_weight, block.proj_bias);
}

at::Tensor Qwen25VisionTower::feed_forward(const Block& block, const at::Tensor& hidden_PH) const {
  // The published width, 3420, is one that a GPU's products are three times slower at.
  const int64_t inner = ops::fast_width(config_.intermediate_size, hidden_PH);
  const auto wide = [&](const at::Tensor& x, int64_t dim) {
    return ops::pad_with_zeros(x, dim, inner);
  };
  const at::Tensor gate =
      at::linear(hidden_PH, wide(block.gate_weight, 0), wide(block.gate_bias, 0));
  const at::Tensor up = at::linear(hidden_PH, wide(block.up_weight, 0), wide(block.up_bias, 0));
  return at::linear(ops::swiglu(gate, up), wide(block.down_weight, 1), block.down_bias);
}

at::Tensor Qwen25VisionTower::merge(const at::Tensor& normed_PH) const {
  const int64_t columns = config_.hidden_size * config_.merge_size * config_.merge_size;
  const at::Tensor blocks = normed_PH.view({-1, columns});
  return at::linear(at::gelu(at::linear(blocks, merger_weight0_, merger_bias0_)), merger_weight2_,
                    merger_bias2_);
}

ImageFeatures Qwen25VisionTower::forward(const at::Tensor& pixel_values_PC,
                                         std::span<const std::array<int64_t, 3>> grids) const {
  const ImageBatch images(grids, grids_, config_.merge_size, patch_weight_HC_.device());
  check_patches(pixel_values_PC, images.num_patches, config_.columns());
  at::Tensor hidden = at::linear(pixel_values_PC.to(patch_weight_HC_.scalar_type()),
                                 patch_weight_HC_.view({config_.hidden_size, config_.columns()}));
  hidden = images.arrange(hidden);
  const ops::RotaryTable table = images.table();
  at::Tensor normed = ops::rms_norm(hidden, blocks_.front().norm1, kNormEps);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const at::Tensor& next_norm = i + 1 < blocks_.size() ? blocks_[i + 1].norm1 : merger_norm_;
    const at::Tensor mixed = attention(block, normed, images, table);
    std::tie(hidden, normed) = ops::add_rms_norm(hidden, mixed, block.norm2, kNormEps);
    std::tie(hidden, normed) =
        ops::add_rms_norm(hidden, feed_forward(block, normed), next_norm, kNormEps);
  }
  return {images.restore(merge(normed)), {}};
}

}  // namespace caprl
