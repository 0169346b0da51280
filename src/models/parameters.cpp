#include "caprl/models/parameters.h"

#include <ATen/ATen.h>

#include "caprl/core/error.h"
#include "caprl/core/memory.h"

namespace caprl {
namespace {

int64_t num_elements(const ParameterSpec& spec) {
  int64_t count = 1;
  for (const int64_t size : spec.shape) count *= size;
  return count;
}

}  // namespace

Parameters::Parameters(std::vector<ParameterSpec> specs, at::ScalarType dtype, at::Device device,
                       const std::function<bool(const std::string&)>& trainable)
    : specs_(std::move(specs)) {
  int64_t sizes[2] = {0, 0};  // frozen, trainable
  for (const ParameterSpec& spec : specs_) sizes[trainable(spec.name)] += num_elements(spec);
  const auto options = at::TensorOptions(device).dtype(dtype);
  frozen_ = at::empty({sizes[0]}, options);
  trainable_ = at::empty({sizes[1]}, options);
  if (device.is_cpu())
    for (const at::Tensor& buffer : {frozen_, trainable_})
      prefer_large_pages(buffer.data_ptr(), static_cast<int64_t>(buffer.nbytes()));

  int64_t offsets[2] = {0, 0};
  for (const ParameterSpec& spec : specs_) {
    const bool trained = trainable(spec.name);
    const int64_t size = num_elements(spec);
    const at::Tensor& buffer = trained ? trainable_ : frozen_;
    // Detached, so that each is a leaf with a gradient of its own.
    at::Tensor view = buffer.narrow(0, offsets[trained], size).view(spec.shape).detach();
    view.set_requires_grad(trained);
    if (!views_.emplace(spec.name, view).second)
      throw Error("the parameter {} is declared twice", spec.name);
    gradients_.emplace(spec.name, std::make_shared<ops::GradientSum>());
    if (trained) trainable_slices_.push_back({spec.name, offsets[trained], size});
    offsets[trained] += size;
  }
}

const at::Tensor& Parameters::get(const std::string& name) const {
  const auto it = views_.find(name);
  if (it == views_.end()) throw Error("the model has no parameter {}", name);
  return it->second;
}

ops::Weight Parameters::weight(const std::string& name) const {
  const at::Tensor& values = get(name);
  return {values, gradients_.at(name)};
}

ops::LinearWeights Parameters::linear(const std::string& prefix, bool bias) const {
  return {weight(prefix + ".weight"), bias ? weight(prefix + ".bias") : ops::Weight()};
}

void Parameters::attach_gradient(const std::string& name, const at::Tensor& values,
                                 std::function<void()> added) {
  if (values.defined() && values.sizes() != get(name).sizes())
    throw Error("[attach_gradient] {}: expected {}, got {}", name, c10::str(get(name).sizes()),
                c10::str(values.sizes()));
  *gradients_.at(name) = {values, std::move(added)};
}

at::Tensor Parameters::gradient(const std::string& name) const {
  const auto it = gradients_.find(name);
  return it == gradients_.end() ? at::Tensor() : it->second->values;
}

bool Parameters::is_trainable(const std::string& name) const { return get(name).requires_grad(); }

}  // namespace caprl
