// Ways to do the work of the loss head, and the bare products that it cannot do without.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "loss_inputs.h"

namespace caprl::bench {

/// What a run leaves behind; undefined where a provider has no such result.
struct LossResult {
  at::Tensor logprobs;  // [rows] float
  at::Tensor d_hidden;  // [rows, H]
  at::Tensor d_weight;  // [V, H]
};

struct LossProvider {
  std::string name;
  /// What is timed, on the first `rows` rows of the inputs; it owns what it needs besides them.
  std::function<std::function<LossResult()>(int64_t rows)> prepare;
};

/// `head_gradient` [V, H] float is added to, as in training.
std::vector<LossProvider> loss_providers(const LossInputs& inputs, at::Tensor head_gradient);

}  // namespace caprl::bench
