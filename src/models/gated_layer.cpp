#include "gated_layer.h"

#include "caprl/ops/rms_norm.h"

namespace caprl {

LayerStates feed_and_norm(const at::Tensor& hidden_NH, const at::Tensor& mixed_NH,
                          const GatedHalf& half, ops::Recompute recompute) {
  const auto [hidden, normed] = ops::add_rms_norm(hidden_NH, mixed_NH, half.norm, half.eps);
  const at::Tensor change = recompute == ops::Recompute::kMlp
                                ? ops::feed_forward_again(normed, half.feed_forward, half.bits)
                                : ops::feed_forward(normed, half.feed_forward, half.bits);
  const auto [next, next_normed] = ops::add_rms_norm(hidden, change, half.next_norm, half.eps);
  return {next, next_normed};
}

LayerStates computed_again(std::function<LayerStates(const LayerStates&)> compute,
                           const LayerStates& states, bool trained) {
  const auto again = [compute = std::move(compute)](const ops::Tensors& x) -> ops::Tensors {
    const LayerStates next = compute({x[0], x[1]});
    return {next.hidden, next.normed};
  };
  const auto next = ops::recomputed(again, {states.hidden, states.normed}, trained);
  return {next[0], next[1]};
}

}  // namespace caprl
