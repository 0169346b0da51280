#include "decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "architecture.h"
#include "caprl/core/pulse.h"
#include "caprl/ops/embedding.h"
#include "caprl/ops/linear.h"
#include "caprl/ops/rms_norm.h"
#include "layer_shards.h"

namespace caprl {
namespace {

/// What queries, keys and values are projected by.
std::vector<const char*> projections(const DecoderConfig& config) {
  if (config.packed_qkv) return {"qkv_proj"};
  return {"q_proj", "k_proj", "v_proj"};
}

/// Matrices before biases, each side by side: a GPU multiplies by all at once.
void add_attention_specs(const DecoderConfig& config, const std::string& attention,
                         std::vector<ParameterSpec>& specs) {
  const int64_t hidden = config.hidden_size;
  const int64_t q = config.num_heads * config.head_dim, kv = config.num_kv_heads * config.head_dim;
  const auto names = projections(config);
  const auto rows = config.packed_qkv ? std::vector{q + 2 * kv} : std::vector{q, kv, kv};
  for (size_t i = 0; i < names.size(); ++i)
    specs.push_back({attention + names[i] + ".weight", {rows[i], hidden}});
  for (size_t i = 0; i < names.size() && config.qkv_bias; ++i)
    specs.push_back({attention + names[i] + ".bias", {rows[i]}});
  specs.push_back({attention + "o_proj.weight", {hidden, q}});
  if (config.output_bias) specs.push_back({attention + "o_proj.bias", {hidden}});
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
      rope_(config_.rope, config_.head_dim, embedding_VH_.options()),
      trained_(parameters.any_trainable("model.layers.")) {
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    const auto get = [&](const char* name) { return parameters.get(layer + name); };
    const auto get_if = [&](bool present, const char* name) {
      return present ? get(name) : at::Tensor();
    };
    const auto linear = [&](const std::string& name, bool bias) {
      return parameters.linear(layer + name, bias);
    };
    std::vector<ops::LinearWeights> qkv;
    for (const char* name : projections(config_))
      qkv.push_back(linear(fmt::format("self_attn.{}", name), config_.qkv_bias));
    layers_.push_back(
        {.input_norm = get("input_layernorm.weight"),
         .post_attention_norm = get("post_attention_layernorm.weight"),
         .qkv = std::move(qkv),
         .q_norm = get_if(config_.qk_norm, "self_attn.q_norm.weight"),
         .k_norm = get_if(config_.qk_norm, "self_attn.k_norm.weight"),
         .o = linear("self_attn.o_proj", config_.output_bias),
         .feed_forward = {linear("mlp.gate_proj", false), linear("mlp.up_proj", false),
                          linear("mlp.down_proj", false)}});
  }
}

at::Tensor Decoder::embed(const at::Tensor& ids_N, int64_t placeholder) const {
  return ops::look_up(embedding_VH_, ids_N, parameters_.gradient(kEmbeddingName), placeholder);
}

Decoder::Heads Decoder::project(const Layer& layer, const at::Tensor& hidden_NH) const {
  const int64_t D = config_.head_dim, kv = config_.num_kv_heads;
  const auto all = ops::linear_each(hidden_NH, layer.qkv);
  if (config_.packed_qkv) {
    const int64_t group = config_.num_heads / kv;
    const at::Tensor packed = all[0].view({-1, kv, group + 2, D});
    return {packed.narrow(2, 0, group).reshape({-1, config_.num_heads, D}), packed.select(2, group),
            packed.select(2, group + 1)};
  }
  return {all[0].view({-1, config_.num_heads, D}), all[1].view({-1, kv, D}),
          all[2].view({-1, kv, D})};
}

at::Tensor Decoder::attend(int64_t index, const at::Tensor& hidden_NH,
                           const ops::RotaryTable& table, Attention& attention) const {
  const Layer& layer = layers_[index];
  Heads heads = project(layer, hidden_NH);
  if (config_.qk_norm) {
    heads.q = ops::rms_norm(heads.q, layer.q_norm, config_.rms_norm_eps);
    heads.k = ops::rms_norm(heads.k, layer.k_norm, config_.rms_norm_eps);
  }
  return attention.attend(index, heads.q, heads.k, heads.v, table)
      .reshape({-1, config_.num_heads * config_.head_dim});
}

LayerStates Decoder::compute(int64_t index, const LayerStates& states,
                             const ops::RotaryTable& table, Attention& attention) const {
  const Layer& layer = layers_[index];
  const at::Tensor& next_norm =
      index + 1 < config_.num_layers ? layers_[index + 1].input_norm : final_norm_H_;
  return ops::gated_half(
      states.hidden, attend(index, states.normed, table, attention),
      {layer.o, layer.post_attention_norm, layer.feed_forward, next_norm, config_.rms_norm_eps},
      recompute_);
}

LayerStates Decoder::run(int64_t index, const LayerStates& states, const ops::RotaryTable& table,
                         Attention& attention) const {
  if (recompute_ != ops::Recompute::kFull || !at::GradMode::is_enabled())
    return compute(index, states, table, attention);
  const auto keep = attention.weak_from_this().lock();
  if (!keep) throw Error("[decode] layers are to be computed again: expected a shared attention");
  return computed_again(
      [this, index, table, keep](const LayerStates& x) { return compute(index, x, table, *keep); },
      states, trained_);
}

at::Tensor Decoder::forward(const Embeddings& embeddings, const at::Tensor& positions,
                            Attention& attention) const {
  const at::Tensor& tokens = embeddings.tokens;
  if (positions.dim() != 2 || positions.size(0) != 3 || positions.size(1) != tokens.size(0))
    throw Error("[decode] expected positions [3, {}], got {} dimensions, {} elements",
                tokens.size(0), positions.dim(), positions.numel());
  const ops::RotaryTable table = rope_.table(positions);
  const double eps = config_.rms_norm_eps;
  LayerStates states{tokens, ops::rms_norm(tokens, layers_.front().input_norm, eps)};
  LayerPass pass(parameters_.sharded_layers());
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    pulse();
    pass.need(i);
    states = run(i, states, table, attention);
    if (i >= static_cast<int64_t>(embeddings.deep_features.size())) continue;
    const at::Tensor& next_norm =
        i + 1 < config_.num_layers ? layers_[i + 1].input_norm : final_norm_H_;
    states.hidden =
        states.hidden.index_add(0, embeddings.image_places, embeddings.deep_features[i]);
    states.normed = ops::rms_norm(states.hidden, next_norm, eps);
  }
  return states.normed;
}

}  // namespace caprl
