// What an operation keeps for its backward pass beside tensors.
#pragma once
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <utility>

namespace caprl::ops {

template <class T>
struct Kept : torch::CustomClassHolder {
  explicit Kept(T given) : value(std::move(given)) {}
  T value;
};

template <class T>
void keep(torch::autograd::AutogradContext& context, T value) {
  context.saved_data["kept"] =
      at::IValue::make_capsule(c10::make_intrusive<Kept<T>>(std::move(value)));
}

/// As long as the context lives. T is that of keep().
template <class T>
const T& kept(torch::autograd::AutogradContext& context) {
  return static_cast<const Kept<T>&>(*context.saved_data.at("kept").toCapsule()).value;
}

}  // namespace caprl::ops
