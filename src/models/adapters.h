// The adapters of an architecture: which layers, their parameters, their first values.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "architecture.h"

namespace caprl {

/// Parameters of the adapter of the linear layer `module` ("model.layers.0.mlp.up_proj").
std::string adapter_a_name(std::string_view module);
std::string adapter_b_name(std::string_view module);

/// Whether a parameter is one of an adapter.
bool is_adapter_name(std::string_view name);

/// "model.norm" of "model.norm.weight"; nothing for other names.
std::optional<std::string> module_of_weight(std::string_view name);

/// Whether `pattern` is the whole name of the module or an end of it: "mlp.up_proj", "up_proj".
bool names_module(std::string_view pattern, std::string_view module);

/// What is trained of an architecture.
struct Training {
  bool trains(const std::string& name) const;

  const Architecture& architecture;
  TrainedParts parts;
  std::vector<ParameterSpec> adapters;  // none: the parts themselves
  std::set<std::string> saved;          // modules that are trained whole beside adapters
};
/// InputError if rank or targets do not fit.
Training plan_training(const Architecture& architecture, TrainedParts parts,
                       const LoraConfig& lora);

/// What a parameter of an adapter has before training, in float.
at::Tensor first_adapter_values(const ParameterSpec& spec, uint64_t seed);

/// W + scale · B A of the layer whose weight is `name`, if it has an adapter, else W; summed in
/// float (double for double) and rounded to `dtype`.
at::Tensor merged_weight(const Parameters& parameters, const std::string& name,
                         at::ScalarType dtype);
at::Tensor merge(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b, double scale,
                 at::ScalarType dtype);

}  // namespace caprl
