#include "caprl/models/pass_memory.h"

#include <algorithm>
#include <array>

#include "adapters.h"
#include "pass_parts.h"

namespace caprl {
namespace {

double number(int64_t value) { return static_cast<double>(value); }

const ParameterSpec* find(const std::vector<ParameterSpec>& specs, std::string_view name) {
  const auto found = std::ranges::find(specs, name, &ParameterSpec::name);
  return found == specs.end() ? nullptr : &*found;
}

/// The first of these layers that there is.
std::string first_of(const ModelDescription& model, const std::string& prefix,
                     std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (find(model.parameters, prefix + name + ".weight")) return name;
  return {};
}

/// Rows of a weight; 0 without it.
double outputs(const ModelDescription& model, const std::string& module) {
  const ParameterSpec* spec = find(model.parameters, module + ".weight");
  return spec ? number(spec->shape[0]) : 0;
}
double inputs(const ModelDescription& model, const std::string& module) {
  const ParameterSpec* spec = find(model.parameters, module + ".weight");
  return spec ? number(spec->num_values()) / number(spec->shape[0]) : 0;
}

double count(const ModelDescription& model, std::string_view begin, std::string_view end) {
  return number(std::ranges::count_if(model.parameters, [&](const ParameterSpec& spec) {
    return spec.name.starts_with(begin) && spec.name.ends_with(end);
  }));
}

DecoderShape decoder_shape(const ModelDescription& model) {
  const ModelTraits& traits = model.traits;
  const std::string layer = "model.layers.0.";
  return {.layers = number(traits.num_layers),
          .hidden = number(traits.hidden_size),
          .inner = outputs(model, layer + "mlp.gate_proj"),
          .heads = {number(traits.num_heads), number(traits.num_kv_heads), number(traits.head_dim)},
          .qk_norm = find(model.parameters, layer + "self_attn.q_norm.weight") != nullptr,
          .packed_qkv = find(model.parameters, layer + "self_attn.qkv_proj.weight") != nullptr,
          .deep = count(model, "visual.deepstack_merger_list.", ".norm.weight")};
}

/// By the names and shapes of the families' parameters.
TowerShape tower_shape(const ModelDescription& model) {
  const std::string block = "visual.blocks.0.";
  TowerShape tower;
  const auto first = [&](std::initializer_list<const char*> names) {
    return first_of(model, block, names);
  };
  tower.qkv = first({"attn.qkv", "attention.q_proj"});
  tower.proj = first({"attn.proj", "attention.projection_layer"});
  tower.fc1 = first({"mlp.gate_proj", "mlp.fc1", "mlp.linear_fc1"});
  tower.fc2 = first({"mlp.down_proj", "mlp.fc2", "mlp.linear_fc2"});
  tower.gated = tower.fc1 == "mlp.gate_proj";
  tower.hidden = outputs(model, block + tower.proj);
  tower.inner = outputs(model, block + tower.fc1);
  for (const char* scale : {"ls1", "lambda_1"})
    tower.scaled |= find(model.parameters, block + scale) != nullptr;
  for (const char* patches : {"visual.patch_embed.proj", "visual.patch_embed"})
    tower.columns = std::max(tower.columns, inputs(model, patches));
  tower.rotated = find(model.parameters, "visual.patch_embed.proj.weight") != nullptr;
  tower.quick_gelu = model.traits.architecture == "Qwen2VLForConditionalGeneration";
  tower.depth = count(model, "visual.blocks.", "." + tower.proj + ".weight");
  tower.mergers = 1 + count(model, "visual.deepstack_merger_list.", ".norm.weight");
  const std::string merger = "visual.merger.";
  const auto [in, out] = [&]() -> std::array<std::string, 2> {
    for (const auto& [a, b] :
         std::initializer_list<std::array<const char*, 2>>{{"mlp.0", "mlp.2"},
                                                           {"linear_fc1", "linear_fc2"},
                                                           {"1", "3"},
                                                           {"linear_1", "linear_2"}})
      if (outputs(model, merger + a) > 0) return {a, b};
    return {};
  }();
  tower.merged = inputs(model, merger + in);
  tower.merger_inner = outputs(model, merger + in);
  tower.out = outputs(model, merger + out);
  tower.patches_per_feature = number(model.traits.merge_size * model.traits.merge_size);
  return tower;
}

bool any_named(const std::vector<ParameterSpec>& specs, std::string_view prefix) {
  return std::ranges::any_of(
      specs, [&](const ParameterSpec& spec) { return spec.name.starts_with(prefix); });
}

}  // namespace

bool TrainedModules::any(std::string_view prefix) const {
  return any_named(model_.trained, prefix);
}

ops::LinearUse TrainedModules::linear(const std::string& module) const {
  ops::LinearUse use;
  if (const ParameterSpec* a = find(model_.adapters, adapter_a_name(module)))
    use.rank = number(a->shape[0]);
  use.trained = any_named(model_.trained, module.ends_with('.') ? module : module + ".weight");
  return use;
}

ops::OpMemory with_residual(ops::OpMemory memory, double states) {
  memory.backward += states;
  memory.forward += states;
  return memory;
}

ops::OpMemory fed_forward(const PassSetting& setting, const ops::OpMemory& inside, double states) {
  if (setting.recompute == ops::Recompute::kMlp) return ops::recomputed(inside, states, states);
  ops::PassTape tape;
  tape.add({states, 0, 0});
  tape.add(inside);
  return tape.total();
}

PassMemory pass_memory(const ModelDescription& model, const PassShape& shape,
                       const PassSetting& setting) {
  const TrainedModules trained(model);
  const PartOfPass pass{shape, setting, trained};
  PassMemory memory;
  ops::PassTape tape;
  if (shape.patches > 0 && any_named(model.parameters, "visual.")) {
    const PartMemory tower = tower_memory(tower_shape(model), pass);
    tape.add(tower.training);
    memory.seeing = tower.reading;
  }
  const PartMemory decoder = decoder_memory(decoder_shape(model), pass);
  tape.add(decoder.training);
  memory.reading = decoder.reading;
  memory.training = tape.total();
  return memory;
}

}  // namespace caprl
