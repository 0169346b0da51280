// What src/models/decoder.cpp keeps for the backward pass, operation by operation.
#include <algorithm>

#include "pass_parts.h"

namespace caprl {
namespace {

using ops::LinearUse;
using ops::OpMemory;
using ops::PassTape;
using ops::Recompute;

/// Of the first layer, whose like all layers are.
class DecoderMemory {
 public:
  DecoderMemory(const DecoderShape& decoder, const PartOfPass& pass)
      : decoder_(decoder),
        pass_(pass),
        setting_(pass.setting),
        tokens_(pass.shape.tokens()),
        states_(tokens_ * decoder.hidden * setting_.value),
        heads_(decoder.heads) {}

  OpMemory training() const {
    PassTape tape;
    tape.add(embedding());
    const OpMemory layer = this->layer();
    const bool again = setting_.recompute == Recompute::kFull;
    for (double i = 0; i < decoder_.layers; ++i)
      tape.add(again ? ops::recomputed(layer, 2 * states_, 2 * states_) : layer);
    // Sums with images, and norms of their own.
    for (double i = 0; i < decoder_.deep && !again; ++i)
      tape.add(ops::norm_memory(setting_, tokens_, decoder_.hidden, true));
    return tape.total();
  }

  double reading() const {
    const double H = decoder_.hidden;
    const bool adapted = use("mlp.gate_proj").rank > 0;
    return std::max(ops::paged_attention_reading(setting_, tokens_, H, heads_),
                    ops::gated_half_reading(setting_, tokens_, H, decoder_.inner, adapted));
  }

 private:
  LinearUse use(const char* module) const {
    return pass_.trained.linear(std::string("model.layers.0.") + module);
  }
  bool keeps(const char* module) const { return use(module).keeps_input(setting_); }

  /// What is looked up, images in their places.
  OpMemory embedding() const {
    const double positions = tokens_ * heads_.size * setting_.real() + tokens_ * 4 * 8;
    // With kFull they are the first layer's input.
    const double states = setting_.recompute == Recompute::kFull ? 0 : states_;
    return {states + positions, states_, 2 * states_};
  }

  OpMemory layer() const {
    const double H = decoder_.hidden;
    PassTape tape;
    // What the norm of the layer before gave; with kFull it is kept as the layer's input.
    const bool is_input = setting_.recompute == Recompute::kFull;
    tape.add({keeps(first_projection()) && !is_input ? states_ : 0, states_, 0});
    tape.add(projections());
    const bool one_product = setting_.kernels && use(first_projection()).rank == 0;
    if (decoder_.qk_norm) {
      // What the norms read: of one product all of it, which attention keeps for the values.
      if (!one_product)
        tape.add({tokens_ * (heads_.queries() + heads_.keys()) * setting_.value, 0, 0});
      tape.add(ops::norm_memory(setting_, tokens_ * (heads_.heads + heads_.kv_heads), heads_.size,
                                false));
    }
    tape.add(with_residual(ops::group_attention_memory(setting_, pass_.shape, heads_, one_product),
                           states_));
    tape.add(ops::linear_memory(setting_, tokens_, heads_.queries(), H, use("self_attn.o_proj")));
    tape.add(ops::norm_memory(setting_, tokens_, H, true));
    tape.add(feed_forward());
    tape.add(ops::norm_memory(setting_, tokens_, H, true));
    return tape.total();
  }

  const char* first_projection() const {
    return decoder_.packed_qkv ? "self_attn.qkv_proj" : "self_attn.q_proj";
  }

  OpMemory projections() const {
    const double Q = heads_.queries(), K = heads_.keys(), H = decoder_.hidden;
    OpMemory memory = ops::linear_memory(setting_, tokens_, H, Q + 2 * K, use(first_projection()));
    memory.kept *= decoder_.packed_qkv ? 1 : 3;  // of each adapter
    memory.backward += 2 * states_;              // each projection's part of the input's
    return with_residual(memory, states_);
  }

  OpMemory feed_forward() const {
    const double H = decoder_.hidden, F = decoder_.inner;
    return fed_forward(
        setting_, ops::feed_forward_memory(setting_, tokens_, H, F, use("mlp.gate_proj")), states_);
  }

  const DecoderShape& decoder_;
  const PartOfPass& pass_;
  const PassSetting& setting_;
  double tokens_, states_;  // states: bytes of all tokens' hidden states
  ops::HeadShape heads_;
};

}  // namespace

PartMemory decoder_memory(const DecoderShape& decoder, const PartOfPass& pass) {
  const DecoderMemory memory(decoder, pass);
  const bool graph = pass.trained.any("visual.") || pass.trained.any("model.");
  return {graph ? memory.training() : ops::OpMemory{}, memory.reading()};
}

}  // namespace caprl
