// The decoder: packed tokens [N, H], attention left to the caller.
// Shape suffixes: N tokens, H hidden, V vocabulary, D head size.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "caprl/models/attention.h"
#include "caprl/models/model.h"
#include "caprl/models/parameters.h"
#include "decoder_config.h"
#include "gated_layer.h"

namespace caprl {

/// Embedding, layers and final norm, in the order of published checkpoints.
std::vector<ParameterSpec> decoder_specs(const DecoderConfig& config);

class Decoder {
 public:
  /// `parameters` must live as long.
  Decoder(DecoderConfig config, const Parameters& parameters);

  /// `placeholder`: see ops::look_up.
  at::Tensor embed(const at::Tensor& ids_N, int64_t placeholder = -1) const;
  /// positions [3, N]; a decoder with one axis reads row 0.
  at::Tensor forward(const Embeddings& embeddings, const at::Tensor& positions,
                     Attention& attention) const;
  void set_recompute(ops::Recompute recompute) { recompute_ = recompute; }

 private:
  struct Layer {
    at::Tensor input_norm, post_attention_norm;
    std::vector<ops::LinearWeights> qkv;  // three, or one if packed
    at::Tensor q_norm, k_norm;            // with qk_norm
    ops::LinearWeights o;
    ops::FeedForwardWeights feed_forward;
  };
  /// Heads of one token: [N, heads, D] each.
  struct Heads {
    at::Tensor q, k, v;
  };
  Heads project(const Layer& layer, const at::Tensor& hidden_NH) const;
  at::Tensor attend(int64_t index, const at::Tensor& hidden_NH, const ops::RotaryTable& table,
                    Attention& attention) const;
  LayerStates compute(int64_t index, const LayerStates& states, const ops::RotaryTable& table,
                      Attention& attention) const;
  /// The same; with kFull by what computes it again for the backward pass.
  LayerStates run(int64_t index, const LayerStates& states, const ops::RotaryTable& table,
                  Attention& attention) const;
  DecoderConfig config_;
  ops::Recompute recompute_ = ops::Recompute::kNone;
  const Parameters& parameters_;
  at::Tensor embedding_VH_, final_norm_H_;
  std::vector<Layer> layers_;
  Rope rope_;
  bool trained_;  // any layer
};

}  // namespace caprl
