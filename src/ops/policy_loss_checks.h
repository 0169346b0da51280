// The contract of the loss head, checked once at its door.
#pragma once
#include "caprl/ops/policy_loss.h"

namespace caprl::ops {

/// Error unless hidden [N, H], head_weight [V, H] and targets [N] fit together.
void check_rows(const at::Tensor& hidden, const at::Tensor& head_weight, const at::Tensor& targets,
                double temperature, int64_t chunk_tokens);

/// Error unless the rows' other inputs are there, one a target, and the options make sense.
void check_terms(const PolicyLossInput& input, const PolicyLossOptions& options);

/// Error unless it is undefined or can take the head's gradient.
void check_head_gradient(const at::Tensor& head_weight, const at::Tensor& head_gradient);

/// Error unless `sequences` names a sequence of each target.
void check_sequences(const at::Tensor& targets, const at::Tensor& sequences);

}  // namespace caprl::ops
