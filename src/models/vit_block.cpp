#include "vit_block.h"

#include <ATen/ATen.h>

namespace caprl {
namespace {

constexpr auto kBits = ops::RowBits::kAny;

}  // namespace

Activation read_activation(const ConfigReader& config, std::string_view key, Activation fallback) {
  if (!config.has(key)) return fallback;
  const std::string name = config.string_or(key, "");
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  config.fail(key, "is \"{}\"; supported are \"gelu\", \"gelu_pytorch_tanh\", \"quick_gelu\"",
              name);
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kQuickGelu:
      return x * at::sigmoid(1.702 * x);
  }
  return x;
}

void add_vit_block_specs(const VitBlockConfig& config, const std::string& prefix,
                         std::vector<ParameterSpec>& specs) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const auto both = [&](const std::string& name, std::vector<int64_t> shape, bool bias = true) {
    specs.push_back({prefix + name + ".weight", shape});
    if (bias) specs.push_back({prefix + name + ".bias", {shape[0]}});
  };
  both(config.norm1, {hidden});
  both(config.norm2, {hidden});
  const int64_t parts = config.qkv.size() == 1 ? 3 : 1;
  for (const std::string& name : config.qkv) both(name, {parts * hidden, hidden}, config.qkv_bias);
  both(config.proj, {hidden, hidden});
  both(config.fc1, {inner, hidden});
  both(config.fc2, {hidden, inner});
  for (const std::string& name : {config.scale1, config.scale2})
    if (!name.empty()) specs.push_back({prefix + name, {hidden}});
}

VitBlock::VitBlock(const VitBlockConfig& config, const std::string& prefix,
                   const Parameters& parameters)
    : config_(config), trained_(parameters.any_trainable(prefix)) {
  const auto get = [&](const std::string& name) { return parameters.get(prefix + name); };
  const auto both = [&](const std::string& name, at::Tensor& weight, at::Tensor& bias) {
    weight = get(name + ".weight");
    bias = get(name + ".bias");
  };
  both(config.norm1, norm1_weight_, norm1_bias_);
  both(config.norm2, norm2_weight_, norm2_bias_);
  for (const std::string& name : config.qkv)
    qkv_.push_back(parameters.linear(prefix + name, config.qkv_bias));
  proj_ = parameters.linear(prefix + config.proj);
  fc1_ = parameters.linear(prefix + config.fc1);
  fc2_ = parameters.linear(prefix + config.fc2);
  if (!config.scale1.empty()) scale1_ = get(config.scale1);
  if (!config.scale2.empty()) scale2_ = get(config.scale2);
}

at::Tensor VitBlock::attend_and_add(const at::Tensor& hidden_PH, const Attend& attend) const {
  const int64_t hidden_size = config_.hidden_size, heads = config_.num_heads;
  const at::Tensor normed =
      at::layer_norm(hidden_PH, {hidden_size}, norm1_weight_, norm1_bias_, config_.norm_eps);
  std::vector<at::Tensor> qkv;
  for (const ops::LinearWeights& weights : qkv_) qkv.push_back(ops::linear(normed, weights, kBits));
  if (qkv.size() == 1) qkv = qkv[0].view({-1, 3, hidden_size}).unbind(1);
  for (at::Tensor& x : qkv) x = x.view({-1, heads, hidden_size / heads});
  at::Tensor mixed = ops::linear(attend(qkv[0], qkv[1], qkv[2]), proj_, kBits);
  if (scale1_.defined()) mixed = mixed * scale1_;
  return hidden_PH + mixed;
}

at::Tensor VitBlock::feed_and_add(const at::Tensor& middle_PH) const {
  const at::Tensor normed = at::layer_norm(middle_PH, {config_.hidden_size}, norm2_weight_,
                                           norm2_bias_, config_.norm_eps);
  const at::Tensor inner = activate(config_.activation, ops::linear(normed, fc1_, kBits));
  at::Tensor fed = ops::linear(inner, fc2_, kBits);
  if (scale2_.defined()) fed = fed * scale2_;
  return middle_PH + fed;
}

at::Tensor VitBlock::forward(const at::Tensor& hidden_PH, const Attend& attend,
                             ops::Recompute recompute) const {
  using ops::Tensors;
  const auto feed = [this](const Tensors& x) -> Tensors { return {feed_and_add(x[0])}; };
  const auto all = [this, attend](const Tensors& x) -> Tensors {
    return {feed_and_add(attend_and_add(x[0], attend))};
  };
  switch (recompute) {
    case ops::Recompute::kNone:
      break;
    case ops::Recompute::kMlp:
      return ops::recomputed(feed, {attend_and_add(hidden_PH, attend)}, trained_)[0];
    case ops::Recompute::kFull:
      return ops::recomputed(all, {hidden_PH}, trained_)[0];
  }
  return all({hidden_PH})[0];
}

}  // namespace caprl
