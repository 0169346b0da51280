#include "adapters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/core/philox.h"
#include "name_hash.h"

namespace caprl {
namespace {

constexpr std::string_view kWeight = ".weight", kA = ".lora_A.weight", kB = ".lora_B.weight";
constexpr std::string_view kAllLinear = "all-linear";

/// Matrices that no product is made with, or whose product is the loss's.
constexpr std::array<std::string_view, 3> kTables = {kEmbeddingName, kHeadName,
                                                     "visual.pos_embed.weight"};

struct Layer {
  int64_t smaller_side() const { return std::min(outputs, inputs); }

  std::string module;
  int64_t outputs, inputs;
};

/// The linear layers of the parts that are trained.
std::vector<Layer> linear_layers(const Architecture& architecture, TrainedParts parts) {
  std::vector<Layer> layers;
  for (const ParameterSpec& spec : architecture.specs) {
    const auto module = module_of_weight(spec.name);
    const bool table = std::find(kTables.begin(), kTables.end(), spec.name) != kTables.end();
    if (module && !table && spec.shape.size() == 2 && architecture.trains(parts, spec.name))
      layers.push_back({*module, spec.shape[0], spec.shape[1]});
  }
  return layers;
}

/// By the name here, or by that of the published checkpoints.
bool is_named(const Architecture& architecture, std::string_view pattern,
              const std::string& module) {
  const std::string weight = module + std::string(kWeight);
  return names_module(pattern, module) ||
         names_module(pattern, *module_of_weight(architecture.published_name(weight)));
}

/// The last parts of the layers' names, for messages.
std::string describe(const std::vector<Layer>& layers) {
  std::set<std::string> ends;
  for (const Layer& layer : layers)
    ends.insert(layer.module.substr(layer.module.find_last_of('.') + 1));
  return fmt::format("{}", fmt::join(ends, ", "));
}

/// The layers among `all` that have an adapter.
std::vector<Layer> choose_layers(const Architecture& architecture, const LoraConfig& lora,
                                 const std::vector<Layer>& all) {
  if (lora.target_modules.empty()) throw InputError("target_modules: expected names, got none");
  if (all.empty())
    throw InputError("target_modules: the parts of {} that are trained have no linear layer",
                     architecture.traits.architecture);
  std::vector<bool> chosen(all.size(), false);
  const auto mark = [&](const std::string& pattern, std::string_view key, bool value) {
    bool found = false;
    for (size_t i = 0; i < all.size(); ++i)
      if (is_named(architecture, pattern, all[i].module)) {
        chosen[i] = value;
        found = true;
      }
    if (!found)
      throw InputError("{}: '{}' is no linear layer among those that are trained of {}: {}", key,
                       pattern, architecture.traits.architecture, describe(all));
  };
  for (const std::string& pattern : lora.target_modules) {
    if (pattern == kAllLinear)
      chosen.assign(all.size(), true);
    else
      mark(pattern, "target_modules", true);
  }
  for (const std::string& pattern : lora.exclude_modules) mark(pattern, "exclude_modules", false);
  std::vector<Layer> layers;
  for (size_t i = 0; i < all.size(); ++i)
    if (chosen[i]) layers.push_back(all[i]);
  if (layers.empty()) throw InputError("exclude_modules: leaves no layer that has an adapter");
  const Layer& smallest = *std::ranges::min_element(layers, {}, &Layer::smaller_side);
  if (lora.rank > smallest.smaller_side())
    throw InputError("lora_rank: expected at most {}, as {} is [{}, {}]; got {}",
                     smallest.smaller_side(), smallest.module, smallest.outputs, smallest.inputs,
                     lora.rank);
  return layers;
}

std::string_view parent_of(std::string_view module) {
  return module.substr(0, std::min(module.find_last_of('.'), module.size()));
}

/// Of the layers of one parent first all A, then all B: those of the same inputs lie side by side,
/// as the layers' own weights do.
std::vector<ParameterSpec> adapter_specs(const std::vector<Layer>& layers, int64_t rank) {
  std::vector<ParameterSpec> specs;
  for (auto begin = layers.begin(); begin != layers.end();) {
    const auto end = std::find_if(begin, layers.end(), [&](const Layer& layer) {
      return parent_of(layer.module) != parent_of(begin->module);
    });
    for (auto layer = begin; layer != end; ++layer)
      specs.push_back({adapter_a_name(layer->module), {rank, layer->inputs}});
    for (auto layer = begin; layer != end; ++layer)
      specs.push_back({adapter_b_name(layer->module), {layer->outputs, rank}});
    begin = end;
  }
  return specs;
}

bool is_inside(std::string_view name, const std::string& module) {
  return name.starts_with(module + ".");
}

/// The modules that a pattern of modules_to_save names: every parent of a parameter is one.
std::set<std::string> modules_named(const Architecture& architecture, const std::string& pattern) {
  std::set<std::string> modules;
  for (const ParameterSpec& spec : architecture.specs)
    for (size_t dot = spec.name.find('.'); dot != std::string::npos;
         dot = spec.name.find('.', dot + 1))
      if (const std::string module = spec.name.substr(0, dot); names_module(pattern, module))
        modules.insert(module);
  if (modules.empty())
    throw InputError("modules_to_save: '{}' is no module of {}", pattern,
                     architecture.traits.architecture);
  return modules;
}

std::set<std::string> saved_modules(const Architecture& architecture, const LoraConfig& lora) {
  std::set<std::string> modules;
  for (const std::string& pattern : lora.modules_to_save)
    modules.merge(modules_named(architecture, pattern));
  return modules;
}

}  // namespace

std::string adapter_a_name(std::string_view module) { return std::string(module).append(kA); }
std::string adapter_b_name(std::string_view module) { return std::string(module).append(kB); }

bool is_adapter_name(std::string_view name) { return name.ends_with(kA) || name.ends_with(kB); }

std::optional<std::string> module_of_weight(std::string_view name) {
  if (!name.ends_with(kWeight)) return std::nullopt;
  return std::string(name.substr(0, name.size() - kWeight.size()));
}

bool names_module(std::string_view pattern, std::string_view module) {
  if (pattern.empty() || !module.ends_with(pattern)) return false;
  const size_t before = module.size() - pattern.size();
  return before == 0 || module[before - 1] == '.';
}

bool Training::trains(const std::string& name) const {
  if (adapters.empty()) return architecture.trains(parts, name);
  return is_adapter_name(name) ||
         std::ranges::any_of(saved, [&](const auto& module) { return is_inside(name, module); });
}

Training plan_training(const Architecture& architecture, TrainedParts parts,
                       const LoraConfig& lora) {
  Training training{architecture, parts, {}, {}};
  if (!lora.enabled()) return training;
  training.saved = saved_modules(architecture, lora);
  std::vector<Layer> layers = choose_layers(architecture, lora, linear_layers(architecture, parts));
  std::erase_if(layers, [&](const Layer& layer) {
    const std::string weight = layer.module + std::string(kWeight);
    return std::ranges::any_of(training.saved,
                               [&](const auto& module) { return is_inside(weight, module); });
  });
  if (layers.empty()) throw InputError("modules_to_save: leaves no layer that has an adapter");
  training.adapters = adapter_specs(layers, lora.rank);
  return training;
}

/// PEFT's: A is uniform in ±1/√K (Kaiming's with a = √5), B zero.
at::Tensor first_adapter_values(const ParameterSpec& spec, uint64_t seed) {
  if (spec.name.ends_with(kB)) return at::zeros(spec.shape);
  at::Tensor values = at::empty(spec.shape, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  const double bound = 1 / std::sqrt(static_cast<double>(spec.shape[1]));
  const CounterRng rng(seed, RandomPurpose::kInitialization, {hash_name(spec.name)});
  parallel_for(0, values.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out[i] = static_cast<float>(bound * (2 * rng.uniform(static_cast<uint64_t>(i)) - 1));
  });
  return values;
}

at::Tensor merge(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b, double scale,
                 at::ScalarType dtype) {
  const bool wide = weight.scalar_type() == at::kDouble || dtype == at::kDouble;
  const auto sum = wide ? at::kDouble : at::kFloat;
  const at::NoGradGuard no_grad;
  return at::addmm(weight.to(sum), b.to(sum), a.to(sum), 1, scale).to(dtype);
}

at::Tensor merged_weight(const Parameters& parameters, const std::string& name,
                         at::ScalarType dtype) {
  const at::Tensor weight = parameters.get(name).detach();
  const auto module = module_of_weight(name);
  if (!module || !parameters.contains(adapter_a_name(*module))) return weight.to(dtype);
  return merge(weight, parameters.get(adapter_a_name(*module)),
               parameters.get(adapter_b_name(*module)), parameters.lora().scale(), dtype);
}

}  // namespace caprl
