// Models with adapters that do something, and what they are adapted by.
#pragma once
#include <set>

#include "caprl/models/lora.h"
#include "families.h"

namespace caprl::test {

inline LoraConfig lora_of(int64_t rank, std::vector<std::string> targets = {"all-linear"}) {
  LoraConfig lora;
  lora.rank = rank;
  lora.alpha = 3;
  lora.target_modules = std::move(targets);
  return lora;
}

inline ModelOptions with_lora(LoraConfig lora, at::ScalarType dtype = at::kDouble,
                              TrainedParts parts = TrainedParts::kAll, uint64_t seed = 1) {
  return {.dtype = dtype, .train = parts, .lora = std::move(lora), .seed = seed};
}

/// Modules that have an adapter, in order.
inline std::vector<std::string> adapted_modules(const Model& model) {
  constexpr std::string_view kEnd = ".lora_A.weight";
  std::vector<std::string> modules;
  for (const ParameterSpec& spec : model.parameters().specs())
    if (spec.name.ends_with(kEnd))
      modules.push_back(spec.name.substr(0, spec.name.size() - kEnd.size()));
  return modules;
}

inline at::Tensor adapter_a(const Model& model, const std::string& module) {
  return model.parameters().get(module + ".lora_A.weight");
}
inline at::Tensor adapter_b(const Model& model, const std::string& module) {
  return model.parameters().get(module + ".lora_B.weight");
}

/// B as if it had been trained.
inline void train_b(const Model& model) {
  const at::NoGradGuard no_grad;
  for (const std::string& module : adapted_modules(model)) {
    const at::Tensor b = adapter_b(model, module);
    b.copy_(at::tensor(uniform(module, b.numel()), at::kDouble).view(b.sizes()) * 0.4);
  }
}

/// Gives `model` the weights of `other`, where both have them.
inline void copy_weights(const Model& other, const Model& model) {
  const at::NoGradGuard no_grad;
  for (const ParameterSpec& spec : model.parameters().specs())
    if (other.parameters().contains(spec.name))
      model.parameters().get(spec.name).copy_(other.parameters().get(spec.name));
}

/// W + scale · B A into the weights of `model`, which has no adapters.
inline void merge_into(const Model& adapted, const Model& model) {
  const at::NoGradGuard no_grad;
  copy_weights(adapted, model);
  const double scale = adapted.parameters().lora().scale();
  for (const std::string& module : adapted_modules(adapted))
    model.parameters()
        .get(module + ".weight")
        .add_(scale * adapter_b(adapted, module).matmul(adapter_a(adapted, module)));
}

}  // namespace caprl::test
