#include "caprl/models/parameters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "adapters.h"
#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/dist/group.h"
#include "layer_shards.h"

namespace caprl {

int64_t ParameterSpec::num_values() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

bool LayerSharding::active() const { return layers > 0 && ranks != nullptr && ranks->size() > 1; }

Parameters::Parameters(std::vector<ParameterSpec> specs, at::ScalarType dtype, at::Device device,
                       const std::function<bool(const std::string&)>& trainable,
                       const LayerSharding& sharding, LoraConfig lora)
    : specs_(std::move(specs)), lora_(std::move(lora)) {
  const auto options = at::TensorOptions(device).dtype(dtype);
  if (sharding.active()) sharded_layers_ = std::make_shared<LayerShards>(sharding, specs_, options);
  const auto is_sharded = [&](const ParameterSpec& spec) {
    return sharded_layers_ && sharded_layers_->holds(spec.name);
  };
  int64_t sizes[2] = {0, 0};  // frozen, trainable
  for (const ParameterSpec& spec : specs_) {
    if (is_sharded(spec) && trainable(spec.name))
      throw Error("{}: what is trained is not sharded by layers", spec.name);
    if (!is_sharded(spec)) sizes[trainable(spec.name)] += spec.num_values();
  }
  frozen_ = at::empty({sizes[0]}, options);
  trainable_ = at::empty({sizes[1]}, options);
  if (device.is_cpu())
    for (const at::Tensor& buffer : {frozen_, trainable_})
      prefer_large_pages(buffer.data_ptr(), static_cast<int64_t>(buffer.nbytes()));

  int64_t offsets[2] = {0, 0};
  for (const ParameterSpec& spec : specs_) {
    const bool trained = trainable(spec.name), sharded = is_sharded(spec);
    const int64_t size = sharded ? 0 : spec.num_values();
    const at::Tensor& buffer = trained ? trainable_ : frozen_;
    const at::Tensor values = sharded ? sharded_layers_->values(spec)
                                      : buffer.narrow(0, offsets[trained], size).view(spec.shape);
    // Detached, so that each is a leaf with a gradient of its own.
    at::Tensor view = values.detach();
    view.set_requires_grad(trained);
    if (!views_.emplace(spec.name, view).second)
      throw Error("the parameter {} is declared twice", spec.name);
    gradients_.emplace(spec.name, std::make_shared<ops::GradientSum>());
    if (trained) trainable_slices_.push_back({spec.name, offsets[trained], size});
    offsets[trained] += size;
  }
}

void Parameters::fill(const std::function<at::Tensor(const ParameterSpec&)>& values) {
  const at::NoGradGuard no_grad;
  std::unordered_map<std::string_view, const ParameterSpec*> sharded;
  for (const ParameterSpec& spec : specs_) {
    if (sharded_layers_ && sharded_layers_->holds(spec.name))
      sharded[spec.name] = &spec;
    else
      get(spec.name).copy_(values(spec));
  }
  if (sharded_layers_)
    sharded_layers_->fill([&](const std::vector<std::string>& names) {
      for (const std::string& name : names) get(name).copy_(values(*sharded.at(name)));
    });
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
  ops::LinearWeights weights{weight(prefix + ".weight"),
                             bias ? weight(prefix + ".bias") : ops::Weight()};
  if (contains(adapter_a_name(prefix)))
    weights.adapter = {weight(adapter_a_name(prefix)), weight(adapter_b_name(prefix)),
                       lora_.scale()};
  return weights;
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

bool Parameters::any_trainable(std::string_view prefix) const {
  return std::ranges::any_of(trainable_slices_,
                             [&](const Slice& slice) { return slice.name.starts_with(prefix); });
}

bool Parameters::is_trainable(const std::string& name) const { return get(name).requires_grad(); }

}  // namespace caprl
