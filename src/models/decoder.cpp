#include "decoder.h"

#include <ATen/ATen.h>

#include <array>
#include <tuple>

#include "architecture.h"
#include "caprl/ops/embedding.h"
#include "caprl/ops/linear.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/swiglu.h"

namespace caprl {
namespace {

void add_attention_specs(const DecoderConfig& config, const std::string& attention,
                         std::vector<ParameterSpec>& specs) {
  const int64_t hidden = config.hidden_size;
  const int64_t q = config.num_heads * config.head_dim, kv = config.num_kv_heads * config.head_dim;
  const auto linear = [&](const char* name, int64_t out, int64_t in, bool bias) {
    specs.push_back({attention + name + ".weight", {out, in}});
    if (bias) specs.push_back({attention + name + ".bias", {out}});
  };
  if (config.packed_qkv) {
    linear("qkv_proj", q + 2 * kv, hidden, config.qkv_bias);
  } else {
    linear("q_proj", q, hidden, config.qkv_bias);
    linear("k_proj", kv, hidden, config.qkv_bias);
    linear("v_proj", kv, hidden, config.qkv_bias);
  }
  linear("o_proj", hidden, q, config.output_bias);
  if (config.qk_norm) {
    specs.push_back({attention + "q_norm.weight", {config.head_dim}});
    specs.push_back({attention + "k_norm.weight", {config.head_dim}});
  }
}

}  // namespace

std::vector<ParameterSpec> decoder_specs(const DecoderConfig& config) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  std::vector<ParameterSpec> specs{{kEmbeddingName, {config.vocab_size, hidden}}};
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    add_attention_specs(config, layer + "self_attn.", specs);
    specs.push_back({layer + "mlp.gate_proj.weight", {inner, hidden}});
    specs.push_back({layer + "mlp.up_proj.weight", {inner, hidden}});
    specs.push_back({layer + "mlp.down_proj.weight", {hidden, inner}});
    specs.push_back({layer + "input_layernorm.weight", {hidden}});
    specs.push_back({layer + "post_attention_layernorm.weight", {hidden}});
  }
  specs.push_back({"model.norm.weight", {hidden}});
  return specs;
}

Decoder::Decoder(DecoderConfig config, const Parameters& parameters)
    : config_(std::move(config)),
      parameters_(parameters),
      embedding_VH_(parameters.get(kEmbeddingName)),
      final_norm_H_(parameters.get("model.norm.weight")),
      rope_(config_.rope, config_.head_dim, embedding_VH_.options()) {
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const auto get = [&](const char* name) {
      return parameters.get(fmt::format("model.layers.{}.{}", i, name));
    };
    const auto get_if = [&](bool present, const char* name) {
      return present ? get(name) : at::Tensor();
    };
    const bool split = !config_.packed_qkv, bias = config_.qkv_bias;
    layers_.push_back({.input_norm = get("input_layernorm.weight"),
                       .post_attention_norm = get("post_attention_layernorm.weight"),
                       .q_weight = get_if(split, "self_attn.q_proj.weight"),
                       .q_bias = get_if(bias, "self_attn.q_proj.bias"),
                       .k_weight = get_if(split, "self_attn.k_proj.weight"),
                       .k_bias = get_if(bias, "self_attn.k_proj.bias"),
                       .v_weight = get_if(split, "self_attn.v_proj.weight"),
                       .v_bias = get_if(bias, "self_attn.v_proj.bias"),
                       .qkv_weight = get_if(!split, "self_attn.qkv_proj.weight"),
                       .q_norm = get_if(config_.qk_norm, "self_attn.q_norm.weight"),
                       .k_norm = get_if(config_.qk_norm, "self_attn.k_norm.weight"),
                       .o_weight = get("self_attn.o_proj.weight"),
                       .o_bias = get_if(config_.output_bias, "self_attn.o_proj.bias"),
                       .gate_weight = get("mlp.gate_proj.weight"),
                       .up_weight = get("mlp.up_proj.weight"),
                       .down_weight = get("mlp.down_proj.weight")});
  }
}

at::Tensor Decoder::embed(const at::Tensor& ids_N, int64_t placeholder) const {
  return ops::look_up(embedding_VH_, ids_N, parameters_.gradient(kEmbeddingName), placeholder);
}

Decoder::Heads Decoder::project(const Layer& layer, const at::Tensor& hidden_NH) const {
  const int64_t D = config_.head_dim, kv = config_.num_kv_heads;
  if (layer.qkv_weight.defined()) {
    const int64_t group = config_.num_heads / kv;
    const at::Tensor all = ops::linear(hidden_NH, layer.qkv_weight).view({-1, kv, group + 2, D});
    return {all.narrow(2, 0, group).reshape({-1, config_.num_heads, D}), all.select(2, group),
            all.select(2, group + 1)};
  }
  const std::array<ops::LinearWeights, 3> projections{{{layer.q_weight, layer.q_bias},
                                                       {layer.k_weight, layer.k_bias},
                                                       {layer.v_weight, layer.v_bias}}};
  const auto all = ops::linear_each(hidden_NH, projections);
  return {all[0].view({-1, config_.num_heads, D}), all[1].view({-1, kv, D}),
          all[2].view({-1, kv, D})};
}

at::Tensor Decoder::attention_block(int64_t index, const at::Tensor& hidden_NH,
                                    const ops::RotaryTable& table, Attention& attention) const {
  const Layer& layer = layers_[index];
  Heads heads = project(layer, hidden_NH);
  if (config_.qk_norm) {
    heads.q = ops::rms_norm(heads.q, layer.q_norm, config_.rms_norm_eps);
    heads.k = ops::rms_norm(heads.k, layer.k_norm, config_.rms_norm_eps);
  }
  const at::Tensor mixed = attention.attend(index, heads.q, heads.k, heads.v, table);
  return ops::linear(mixed.reshape({-1, config_.num_heads * config_.head_dim}), layer.o_weight,
                     layer.o_bias);
}

at::Tensor Decoder::feed_forward(const Layer& layer, const at::Tensor& hidden_NH) const {
  const std::array<ops::LinearWeights, 2> projections{
      {{layer.gate_weight, {}}, {layer.up_weight, {}}}};
  const auto both = ops::linear_each(hidden_NH, projections);
  return ops::linear(ops::swiglu(both[0], both[1]), layer.down_weight);
}

at::Tensor Decoder::forward(const Embeddings& embeddings, const at::Tensor& positions,
                            Attention& attention) const {
  at::Tensor hidden = embeddings.tokens;
  const double eps = config_.rms_norm_eps;
  if (positions.dim() != 2 || positions.size(0) != 3 || positions.size(1) != hidden.size(0))
    throw Error("[decode] expected positions [3, {}], got {} dimensions, {} elements",
                hidden.size(0), positions.dim(), positions.numel());
  const ops::RotaryTable table = rope_.table(positions);
  at::Tensor normed = ops::rms_norm(hidden, layers_.front().input_norm, eps);
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const Layer& layer = layers_[i];
    const at::Tensor& next_norm =
        i + 1 < config_.num_layers ? layers_[i + 1].input_norm : final_norm_H_;
    const at::Tensor mixed = attention_block(i, normed, table, attention);
    std::tie(hidden, normed) = ops::add_rms_norm(hidden, mixed, layer.post_attention_norm, eps);
    const at::Tensor change = feed_forward(layer, normed);
    if (i < static_cast<int64_t>(embeddings.deep_features.size())) {
      hidden = (hidden + change).index_add(0, embeddings.image_places, embeddings.deep_features[i]);
      normed = ops::rms_norm(hidden, next_norm, eps);
    } else {
      std::tie(hidden, normed) = ops::add_rms_norm(hidden, change, next_norm, eps);
    }
  }
  return normed;
}

}  // namespace caprl
