#include "qwen2_decoder.h"

#include <ATen/ATen.h>

#include "architecture.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/swiglu.h"

namespace caprl {

std::vector<ParameterSpec> qwen2_decoder_specs(const Qwen2Config& config) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const int64_t q = config.num_heads * config.head_dim, kv = config.num_kv_heads * config.head_dim;
  std::vector<ParameterSpec> specs{{kEmbeddingName, {config.vocab_size, hidden}}};
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    specs.push_back({layer + "self_attn.q_proj.weight", {q, hidden}});
    specs.push_back({layer + "self_attn.q_proj.bias", {q}});
    specs.push_back({layer + "self_attn.k_proj.weight", {kv, hidden}});
    specs.push_back({layer + "self_attn.k_proj.bias", {kv}});
    specs.push_back({layer + "self_attn.v_proj.weight", {kv, hidden}});
    specs.push_back({layer + "self_attn.v_proj.bias", {kv}});
    specs.push_back({layer + "self_attn.o_proj.weight", {hidden, q}});
    specs.push_back({layer + "mlp.gate_proj.weight", {inner, hidden}});
    specs.push_back({layer + "mlp.up_proj.weight", {inner, hidden}});
    specs.push_back({layer + "mlp.down_proj.weight", {hidden, inner}});
    specs.push_back({layer + "input_layernorm.weight", {hidden}});
    specs.push_back({layer + "post_attention_layernorm.weight", {hidden}});
  }
  specs.push_back({"model.norm.weight", {hidden}});
  return specs;
}

Qwen2Decoder::Qwen2Decoder(Qwen2Config config, const Parameters& parameters)
    : config_(std::move(config)),
      embedding_VH_(parameters.get(kEmbeddingName)),
      final_norm_H_(parameters.get("model.norm.weight")) {
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const auto get = [&](const char* name) {
      return parameters.get(fmt::format("model.layers.{}.{}", i, name));
    };
    layers_.push_back({.input_norm = get("input_layernorm.weight"),
                       .post_attention_norm = get("post_attention_layernorm.weight"),
                       .q_weight = get("self_attn.q_proj.weight"),
                       .q_bias = get("self_attn.q_proj.bias"),
                       .k_weight = get("self_attn.k_proj.weight"),
                       .k_bias = get("self_attn.k_proj.bias"),
                       .v_weight = get("self_attn.v_proj.weight"),
                       .v_bias = get("self_attn.v_proj.bias"),
                       .o_weight = get("self_attn.o_proj.weight"),
                       .gate_weight = get("mlp.gate_proj.weight"),
                       .up_weight = get("mlp.up_proj.weight"),
                       .down_weight = get("mlp.down_proj.weight")});
  }
  // Angles in fp32 as in transformers; a double model is exact throughout.
  const auto real = embedding_VH_.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = at::TensorOptions(embedding_VH_.device()).dtype(real);
  frequencies_ = ops::inverse_frequencies(config_.head_dim, config_.rope_theta, options);
  std::vector<int64_t> axis;
  for (size_t row = 0; row < config_.mrope_section.size(); ++row)
    axis.insert(axis.end(), config_.mrope_section[row], static_cast<int64_t>(row));
  if (!axis.empty()) axis_ = at::tensor(axis, at::kLong).to(embedding_VH_.device());
}

at::Tensor Qwen2Decoder::embed(const at::Tensor& ids_N) const {
  return at::embedding(embedding_VH_, ids_N);
}

ops::RotaryTable Qwen2Decoder::rotary_table(const at::Tensor& positions) const {
  const at::Tensor rows =
      axis_.defined() ? positions.index_select(0, axis_).t() : positions.select(0, 0).unsqueeze(1);
  const at::Tensor angles = rows.to(frequencies_.scalar_type()) * frequencies_;
  const auto dtype = embedding_VH_.scalar_type();
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

at::Tensor Qwen2Decoder::attention_block(int64_t index, const at::Tensor& hidden_NH,
                                         const ops::RotaryTable& table,
                                         Attention& attention) const {
  const Layer& layer = layers_[index];
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& bias, int64_t count) {
    return at::linear(hidden_NH, weight, bias).view({-1, count, config_.head_dim});
  };
  const at::Tensor q = heads(layer.q_weight, layer.q_bias, config_.num_heads);
  const at::Tensor k = heads(layer.k_weight, layer.k_bias, config_.num_kv_heads);
  const at::Tensor v = heads(layer.v_weight, layer.v_bias, config_.num_kv_heads);
  const at::Tensor mixed = attention.attend(index, ops::rotate(q, table), ops::rotate(k, table), v);
  return at::linear(mixed.reshape({-1, config_.num_heads * config_.head_dim}), layer.o_weight);
}

at::Tensor Qwen2Decoder::feed_forward(const Layer& layer, const at::Tensor& hidden_NH) const {
  return at::linear(
      ops::swiglu(at::linear(hidden_NH, layer.gate_weight), at::linear(hidden_NH, layer.up_weight)),
      layer.down_weight);
}

at::Tensor Qwen2Decoder::forward(const at::Tensor& embeddings_NH, const at::Tensor& positions,
                                 Attention& attention) const {
  if (positions.dim() != 2 || positions.size(0) != 3 || positions.size(1) != embeddings_NH.size(0))
    throw Error("[decode] expected positions [3, {}], got {} dimensions, {} elements",
                embeddings_NH.size(0), positions.dim(), positions.numel());
  const ops::RotaryTable table = rotary_table(positions);
  at::Tensor hidden = embeddings_NH;
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const Layer& layer = layers_[i];
    hidden =
        hidden + attention_block(i, ops::rms_norm(hidden, layer.input_norm, config_.rms_norm_eps),
                                 table, attention);
    hidden = hidden + feed_forward(layer, ops::rms_norm(hidden, layer.post_attention_norm,
                                                        config_.rms_norm_eps));
  }
  return ops::rms_norm(hidden, final_norm_H_, config_.rms_norm_eps);
}

}  // namespace caprl
