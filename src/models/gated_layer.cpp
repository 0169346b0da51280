#include "gated_layer.h"

namespace caprl {

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
