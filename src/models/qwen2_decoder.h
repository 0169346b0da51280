// The Qwen2 / Qwen2.5 decoder: packed tokens [N, H], attention left to the caller.
// Shape suffixes: N tokens, H hidden, V vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "caprl/models/attention.h"
#include "caprl/models/parameters.h"
#include "caprl/ops/rotary.h"
#include "qwen2_config.h"

namespace caprl {

/// Embedding, layers and final norm, in the order of published checkpoints.
std::vector<ParameterSpec> qwen2_decoder_specs(const Qwen2Config& config);

class Qwen2Decoder {
 public:
  Qwen2Decoder(Qwen2Config config, const Parameters& parameters);

  at::Tensor embed(const at::Tensor& ids_N) const;
  /// positions [3, N]; a decoder with one axis reads row 0.
  at::Tensor forward(const at::Tensor& embeddings_NH, const at::Tensor& positions,
                     Attention& attention) const;
  const at::Tensor& embedding() const { return embedding_VH_; }

 private:
  struct Layer {
    at::Tensor input_norm, post_attention_norm;
    at::Tensor q_weight, q_bias, k_weight, k_bias, v_weight, v_bias, o_weight;
    at::Tensor gate_weight, up_weight, down_weight;
  };
  ops::RotaryTable rotary_table(const at::Tensor& positions) const;
  at::Tensor attention_block(int64_t index, const at::Tensor& hidden_NH,
                             const ops::RotaryTable& table, Attention& attention) const;
  at::Tensor feed_forward(const Layer& layer, const at::Tensor& hidden_NH) const;

  Qwen2Config config_;
  at::Tensor embedding_VH_, final_norm_H_;
  std::vector<Layer> layers_;
  at::Tensor frequencies_;  // [D/2]
  at::Tensor
      axis_;  // [D/2] int64: which row of the positions turns each frequency; undefined: row 0
};

}  // namespace caprl
