// Weights as operations see them.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>

namespace caprl::ops {

/// Where operations sum a weight's gradient themselves, in place of handing it to autograd.
struct GradientSum {
  at::Tensor
      values;  // of the weight's shape, float (double for double); undefined: autograd gets it
  std::function<void()> added;  // called whenever an operation has added; may be empty
};

struct Weight {
  Weight() = default;
  Weight(at::Tensor given, std::shared_ptr<const GradientSum> sum = nullptr)  // NOLINT: implicit
      : values(std::move(given)), gradient(std::move(sum)) {}

  bool defined() const { return values.defined(); }
  bool has_sum() const { return gradient && gradient->values.defined(); }

  at::Tensor values;                            // undefined: there is none
  std::shared_ptr<const GradientSum> gradient;  // null: autograd gets it
};

}  // namespace caprl::ops
