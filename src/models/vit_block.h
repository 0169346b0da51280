// One block of a vision transformer with layer norms: Qwen2-VL, Qwen3-VL, InternViT.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "caprl/models/parameters.h"
#include "caprl/ops/recompute.h"
#include "config_reader.h"

namespace caprl {

enum class Activation { kGelu, kGeluTanh, kQuickGelu };
/// Key `key` of the config, by the names of transformers.
Activation read_activation(const ConfigReader& config, std::string_view key, Activation fallback);
at::Tensor activate(Activation activation, const at::Tensor& x);

/// Sizes of a block, and what its parameters are called behind the block's prefix.
struct VitBlockConfig {
  int64_t hidden_size = 0, intermediate_size = 0, num_heads = 0;
  double norm_eps = 1e-6;
  Activation activation = Activation::kGelu;
  std::string norm1 = "norm1", norm2 = "norm2";
  std::vector<std::string> qkv = {"attn.qkv"};  // one packed projection, or three
  bool qkv_bias = true;
  std::string proj = "attn.proj", fc1 = "mlp.fc1", fc2 = "mlp.fc2";
  std::string scale1 = {}, scale2 = {};  // what each branch is multiplied with; empty: nothing
};

void add_vit_block_specs(const VitBlockConfig& config, const std::string& prefix,
                         std::vector<ParameterSpec>& specs);

class VitBlock {
 public:
  VitBlock(const VitBlockConfig& config, const std::string& prefix, const Parameters& parameters);

  /// q, k, v [P, heads, D] → [P, H].
  using Attend =
      std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;
  /// hidden [P, H] → [P, H]. With Recompute::kFull what `attend` captures must live as long as the
  /// graph.
  at::Tensor forward(const at::Tensor& hidden_PH, const Attend& attend,
                     ops::Recompute recompute) const;

 private:
  at::Tensor attend_and_add(const at::Tensor& hidden_PH, const Attend& attend) const;
  at::Tensor feed_and_add(const at::Tensor& middle_PH) const;

  VitBlockConfig config_;
  bool trained_;  // any of it
  at::Tensor norm1_weight_, norm1_bias_, norm2_weight_, norm2_bias_;
  std::vector<ops::LinearWeights> qkv_;
  ops::LinearWeights proj_, fc1_, fc2_;
  at::Tensor scale1_, scale2_;
};

}  // namespace caprl
