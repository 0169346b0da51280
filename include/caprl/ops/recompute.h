// Activations that are computed twice instead of kept (Chen et al., arXiv 1604.06174).
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace caprl::ops {

/// What of a layer is kept for its backward pass.
enum class Recompute {
  kNone,  // everything
  kMlp,   // all but the inside of the feed-forward part, a third of its work again
  kFull,  // its input alone, the whole forward pass again
};

using Tensors = std::vector<at::Tensor>;

/// f(inputs), whose inputs alone are kept: the backward pass calls f again, which must give the
/// same and whose captures must live as long as the graph. Gradients go to the inputs and to every
/// leaf that f reads; `trained`: whether any of these wants one. Without a graph to be made,
/// f(inputs).
Tensors recomputed(std::function<Tensors(const Tensors&)> f, const Tensors& inputs, bool trained);

}  // namespace caprl::ops
