// PEFT's files: adapter_config.json and adapter_model.safetensors (its documentation, "PEFT
// checkpoint format"). Names are those of transformers' modules in memory behind
// "base_model.model.".
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "adapters.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "config_reader.h"
#include "load.h"
#include "other_files.h"

namespace caprl {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

Architecture read_architecture(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  return describe_architecture(read_json(path), path.string());
}

std::string last_part(const std::string& module) {
  return module.substr(module.find_last_of('.') + 1);
}

/// Names by which PEFT finds exactly `wanted` among all modules: their last parts if no other
/// module ends so, else their whole names.
std::vector<std::string> shortest_names(const std::set<std::string>& wanted,
                                        const std::set<std::string>& all) {
  std::set<std::string> ends;
  for (const std::string& module : wanted) ends.insert(last_part(module));
  const bool exact = std::all_of(all.begin(), all.end(), [&](const std::string& module) {
    return wanted.contains(module) || !ends.contains(last_part(module));
  });
  const auto& names = exact ? ends : wanted;
  return {names.begin(), names.end()};
}

/// The modules of a model, and those with parameters of their own that are adapted or saved whole,
/// under transformers' names.
struct Modules {
  std::set<std::string> all, adapted, saved;
};

Modules modules_of(const Parameters& parameters, const Architecture& architecture) {
  Modules modules;
  for (const ParameterSpec& spec : parameters.specs()) {
    const auto module = module_of_weight(spec.name);
    if (!module || is_adapter_name(spec.name)) continue;
    const std::string name = *module_of_weight(architecture.published_name(spec.name));
    for (size_t end = name.find('.'); end != std::string::npos; end = name.find('.', end + 1))
      modules.all.insert(name.substr(0, end));
    modules.all.insert(name);
    if (parameters.contains(adapter_a_name(*module))) modules.adapted.insert(name);
    if (parameters.is_trainable(spec.name)) modules.saved.insert(name);
  }
  return modules;
}

nlohmann::json config_of(const LoraConfig& lora, const Modules& modules,
                         const std::filesystem::path& base_dir) {
  const bool whole = lora.alpha == std::floor(lora.alpha);  // vLLM expects an integer
  nlohmann::json saved;
  if (!modules.saved.empty()) saved = modules.saved;
  return {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", std::filesystem::absolute(base_dir).lexically_normal().string()},
      {"revision", nullptr},
      {"inference_mode", true},
      {"r", lora.rank},
      {"lora_alpha",
       whole ? nlohmann::json(static_cast<int64_t>(lora.alpha)) : nlohmann::json(lora.alpha)},
      {"lora_dropout", 0.0},
      {"use_rslora", lora.use_rslora},
      {"use_dora", false},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"target_modules", shortest_names(modules.adapted, modules.all)},
      {"exclude_modules", nullptr},
      {"modules_to_save", saved},
      {"rank_pattern", nlohmann::json::object()},
      {"alpha_pattern", nlohmann::json::object()},
      {"layers_to_transform", nullptr},
      {"layers_pattern", nullptr}};
}

/// An adapter directory's content.
struct Adapter {
  std::string file;
  LoraConfig lora;                            // rank and scale
  std::map<std::string, at::Tensor> tensors;  // under the names of Parameters
};

/// Other kinds of adapters compute something else from the same tensors.
void refuse_what_differs(const ConfigReader& config, const nlohmann::json& json) {
  if (const auto type = config.string_or("peft_type", ""); type != "LORA")
    config.fail("peft_type", "is \"{}\"; only \"LORA\" is supported", type);
  if (const auto bias = config.string_or("bias", "none"); bias != "none")
    config.fail("bias", "is \"{}\"; only \"none\" is supported", bias);
  for (const char* key : {"use_dora", "use_qalora", "fan_in_fan_out", "lora_bias"})
    if (config.boolean_or(key, false)) config.fail(key, "is true; only false is supported");
  for (const char* key : {"rank_pattern", "alpha_pattern", "layer_replication", "target_parameters",
                          "trainable_token_indices", "alora_invocation_tokens", "use_bdlora"})
    if (json.contains(key) && !json[key].empty())
      config.fail(key, "is set; plain adapters of one rank and scale are supported");
}

Adapter read_adapter(const std::filesystem::path& dir, const Architecture& architecture) {
  const auto path = dir / kAdapterConfig;
  const nlohmann::json json = read_json(path);
  const ConfigReader config(json, path.string());
  refuse_what_differs(config, json);
  Adapter adapter;
  adapter.lora.rank = config.positive("r", 65536);
  adapter.lora.alpha = config.positive_number("lora_alpha");
  adapter.lora.use_rslora = config.boolean_or("use_rslora", false);
  const SafetensorsFile file(dir / kAdapterWeights);
  adapter.file = file.path().string();
  for (const auto& entry : file.entries()) {
    if (!entry.name.starts_with(kPrefix))
      throw InputError("{}: expected names that begin with {}, got {}", adapter.file, kPrefix,
                       entry.name);
    adapter.tensors[architecture.canonical_name(entry.name.substr(kPrefix.size()))] =
        file.tensor(entry.name);
  }
  return adapter;
}

void check_tensor(const Adapter& adapter, const std::string& name, const at::Tensor& tensor,
                  at::IntArrayRef shape) {
  if (tensor.sizes() != shape || !at::isFloatingType(tensor.scalar_type()))
    throw InputError("{}: {}: expected numbers of shape {}, got {} of {}", adapter.file, name,
                     c10::str(shape), at::toString(tensor.scalar_type()), c10::str(tensor.sizes()));
}

/// What an adapter makes of a parameter of the base model, rounded once to `dtype`; the tensors
/// that were used are added to `used`.
at::Tensor merged(const Adapter& adapter, const std::string& name, const at::Tensor& weight,
                  at::ScalarType dtype, size_t& used) {
  const auto find = [&](const std::string& wanted, at::IntArrayRef shape) -> const at::Tensor* {
    const auto found = adapter.tensors.find(wanted);
    if (found == adapter.tensors.end()) return nullptr;
    check_tensor(adapter, wanted, found->second, shape);
    ++used;
    return &found->second;
  };
  if (const at::Tensor* whole = find(name, weight.sizes())) return *whole;
  const auto module = module_of_weight(name);
  if (!module || weight.dim() != 2) return weight;
  const int64_t rank = adapter.lora.rank;
  const at::Tensor* a = find(adapter_a_name(*module), {rank, weight.size(1)});
  const at::Tensor* b = find(adapter_b_name(*module), {weight.size(0), rank});
  if (!a && !b) return weight;
  if (!a || !b)
    throw InputError("{}: the adapter of {} lacks its {}", adapter.file, *module, a ? 'B' : 'A');
  return merge(weight, *a, *b, adapter.lora.scale(), dtype);
}

}  // namespace

bool is_adapter(const std::filesystem::path& dir) {
  return std::filesystem::exists(dir / kAdapterConfig);
}

std::filesystem::path base_of_adapter(const std::filesystem::path& dir) {
  const auto path = dir / kAdapterConfig;
  const nlohmann::json json = read_json(path);
  const ConfigReader config(json, path.string());
  const std::string base = config.string_or("base_model_name_or_path", "");
  if (!std::filesystem::is_directory(base))
    config.fail("base_model_name_or_path",
                "is \"{}\"; expected the directory of the base model, which is not there", base);
  return base;
}

StoredAdapter stored_adapter(const Model& model, const std::filesystem::path& base_dir) {
  const Architecture architecture = read_architecture(base_dir);
  const Parameters& parameters = model.parameters();
  StoredAdapter stored;
  for (const auto& slice : parameters.trainable_slices())
    stored.tensors.emplace_back(std::string(kPrefix) + architecture.published_name(slice.name),
                                parameters.get(slice.name).detach());
  const nlohmann::json config =
      config_of(parameters.lora(), modules_of(parameters, architecture), base_dir);
  stored.config = config.dump(2) + "\n";
  return stored;
}

void save_adapter(const StoredAdapter& adapter, const std::filesystem::path& base_dir,
                  const std::filesystem::path& dir) {
  std::filesystem::create_directories(dir);
  write_safetensors(dir / kAdapterWeights, adapter.tensors);
  copy_other_files(base_dir, dir);
  write_file_atomic(dir / kAdapterConfig, adapter.config);
}

void load_adapter(Model& model, const std::filesystem::path& base_dir,
                  const std::filesystem::path& dir) {
  const Adapter adapter = read_adapter(dir, read_architecture(base_dir));
  Parameters& parameters = model.parameters();
  const LoraConfig& lora = parameters.lora();
  if (adapter.lora.rank != lora.rank || adapter.lora.scale() != lora.scale())
    throw InputError("{}: expected an adapter of rank {} and scale {:g}, got {} and {:g}",
                     dir.string(), lora.rank, lora.scale(), adapter.lora.rank,
                     adapter.lora.scale());
  for (const auto& slice : parameters.trainable_slices()) {
    const auto found = adapter.tensors.find(slice.name);
    if (found == adapter.tensors.end())
      throw InputError("{}: {} is missing", adapter.file, slice.name);
    check_tensor(adapter, slice.name, found->second, parameters.get(slice.name).sizes());
  }
  for (const auto& [name, tensor] : adapter.tensors)
    if (!parameters.contains(name) || !parameters.is_trainable(name))
      throw InputError("{}: {} is not trained in this configuration", adapter.file, name);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : adapter.tensors) parameters.get(name).copy_(tensor);
}

std::unique_ptr<Model> load_merged(const std::filesystem::path& base_dir,
                                   const std::filesystem::path& dir, const ModelOptions& options) {
  const Adapter adapter = read_adapter(dir, read_architecture(base_dir));
  size_t used = 0;
  auto model =
      load_model(base_dir, options, [&](const ParameterSpec& spec, const at::Tensor& stored) {
        return merged(adapter, spec.name, stored, options.dtype, used);
      });
  if (used != adapter.tensors.size())
    throw InputError("{}: {} of its {} tensors belong to no layer of {}", adapter.file,
                     adapter.tensors.size() - used, adapter.tensors.size(), base_dir.string());
  return model;
}

}  // namespace caprl
