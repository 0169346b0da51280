// What vision towers keep for the backward pass, operation by operation: blocks with RMS norms and
// a gated feed-forward (qwen2_5_vision.cpp), and those of vit_block.cpp; then the merger.
#include <algorithm>

#include "pass_parts.h"

namespace caprl {
namespace {

using ops::LinearUse;
using ops::OpMemory;
using ops::PassTape;
using ops::Recompute;

/// Of the published towers: only the sums of attention's weights, a number a head, depend on it.
constexpr double kHeadSize = 80;

class TowerMemory {
 public:
  TowerMemory(const TowerShape& tower, const PartOfPass& pass)
      : tower_(tower),
        pass_(pass),
        setting_(pass.setting),
        width_(tower.hidden),
        inner_(tower.inner),
        patches_(pass.shape.patches),
        states_(patches_ * width_ * setting_.value),
        heads_{width_ / kHeadSize, width_ / kHeadSize, kHeadSize} {}

  OpMemory training() const {
    PassTape tape;
    tape.add({pixels(), 2 * states_, 2 * states_});
    if (pass_.trained.any("visual.blocks.") || pass_.trained.any("visual.patch_embed.")) {
      // What the first block reads.
      tape.add({setting_.recompute == Recompute::kFull ? 0 : states_, 0, 0});
      for (double i = 0; i < tower_.depth; ++i) tape.add(block());
      // What the merger's norm reads.
      if (setting_.recompute == Recompute::kFull && !tower_.gated) tape.add({states_, 0, 0});
    } else {
      tape.add({0, seeing() - pixels(), 0});
    }
    for (double i = 0; i < tower_.mergers && pass_.trained.any("visual."); ++i) tape.add(merger());
    return tape.total();
  }

  double seeing() const {
    const double v = setting_.value;
    const double attention = (tower_.gated ? 8 : 7) * width_;
    const double fed =
        tower_.gated ? 5 * width_ + 3 * inner_ : 3 * width_ + inner_ * (1 + activations());
    return pixels() + patches_ * v * std::max(attention, fed);
  }

 private:
  double pixels() const { return patches_ * tower_.columns * setting_.value; }
  LinearUse use(const std::string& module) const {
    return pass_.trained.linear("visual.blocks.0." + module);
  }
  /// Values that an activation function keeps of each value: x · σ(1.702 x) keeps both factors.
  double activations() const { return tower_.quick_gelu ? 2 : 1; }

  OpMemory block() const {
    PassTape tape;
    // What the norm gave; between gated blocks with kFull it is kept as the block's input.
    const bool is_input = tower_.gated && setting_.recompute == Recompute::kFull;
    if (use(tower_.qkv).keeps_input(setting_) && !is_input) tape.add({states_, states_, 0});
    tape.add(with_residual(
        ops::linear_memory(setting_, patches_, width_, 3 * width_, use(tower_.qkv)), states_));
    tape.add(with_residual(
        ops::image_attention_memory(setting_, patches_, heads_, tower_.rotated, tower_.gated),
        states_));
    tape.add(with_residual(ops::linear_memory(setting_, patches_, width_, width_, use(tower_.proj)),
                           states_));
    if (tower_.scaled) tape.add(scaled());
    tape.add(ops::norm_memory(setting_, patches_, width_, true));
    tape.add(
        with_residual(fed_forward(setting_, tower_.gated ? gated() : plain(), states_), states_));
    tape.add(ops::norm_memory(setting_, patches_, width_, true));
    const double inputs = tower_.gated ? 2 : 1;  // hidden states, and normed
    return setting_.recompute == Recompute::kFull
               ? ops::recomputed(tape.total(), inputs * states_, inputs * states_)
               : tape.total();
  }

  OpMemory gated() const {
    return ops::feed_forward_memory(setting_, patches_, width_, inner_, use("mlp.gate_proj"));
  }

  /// fc1, activation, fc2.
  OpMemory plain() const {
    PassTape tape;
    const double inner = patches_ * inner_ * setting_.value;
    tape.add(ops::linear_memory(setting_, patches_, width_, inner_, use(tower_.fc1)));
    tape.add({activations() * inner, inner, 2 * inner});
    tape.add({inner, 0, 0});
    tape.add(ops::linear_memory(setting_, patches_, inner_, width_, use(tower_.fc2)));
    if (tower_.scaled) tape.add(scaled());
    return tape.total();
  }
  OpMemory scaled() const { return {states_, states_, 2 * states_}; }

  OpMemory merger() const {
    const double rows = patches_ / tower_.patches_per_feature, v = setting_.value;
    const LinearUse use = pass_.trained.linear("visual.merger.");
    PassTape tape;
    tape.add({states_ + rows * setting_.real(), states_, 2 * states_});
    tape.add(ops::linear_memory(setting_, rows, tower_.merged, tower_.merger_inner, use));
    tape.add({rows * tower_.merger_inner * v, 0, rows * tower_.merger_inner * v});  // gelu
    tape.add({rows * tower_.merger_inner * v, 0, 0});
    tape.add(ops::linear_memory(setting_, rows, tower_.merger_inner, tower_.out, use));
    return tape.total();
  }

  const TowerShape& tower_;
  const PartOfPass& pass_;
  const PassSetting& setting_;
  double width_, inner_, patches_, states_;
  ops::HeadShape heads_;
};

}  // namespace

PartMemory tower_memory(const TowerShape& tower, const PartOfPass& pass) {
  const TowerMemory memory(tower, pass);
  return {memory.training(), memory.seeing()};
}

}  // namespace caprl
