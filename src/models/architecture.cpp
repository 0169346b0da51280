#include "architecture.h"

#include <algorithm>

#include "adapters.h"
#include "caprl/io/json.h"
#include "internlm2.h"
#include "internvl.h"
#include "llama.h"
#include "mistral.h"
#include "qwen2.h"
#include "qwen2_5_vl.h"
#include "qwen2_vl.h"
#include "qwen3.h"
#include "qwen3_vl.h"

namespace caprl {
namespace {

struct Family {
  std::string_view architecture;
  Architecture (*describe)(const ConfigReader& config);
};

constexpr Family kFamilies[] = {
    {"Qwen2ForCausalLM", describe_qwen2},
    {"Qwen3ForCausalLM", describe_qwen3},
    {"LlamaForCausalLM", describe_llama},
    {"MistralForCausalLM", describe_mistral},
    {"InternLM2ForCausalLM", describe_internlm2},
    {"Qwen2VLForConditionalGeneration", describe_qwen2_vl},
    {"Qwen2_5_VLForConditionalGeneration", describe_qwen2_5_vl},
    {"Qwen3VLForConditionalGeneration", describe_qwen3_vl},
    {"InternVLChatModel", describe_internvl_chat},
    {"InternVLForConditionalGeneration", describe_internvl_hf},
};

std::string known_architectures() {
  std::string known;
  for (const Family& family : kFamilies)
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  return known;
}

}  // namespace

std::string Architecture::canonical_name(std::string_view name) const {
  std::string result(name);
  for (const auto& [stored, canonical] : renamed_prefixes) {
    if (!name.starts_with(stored)) continue;
    result.replace(0, stored.size(), canonical);
    break;
  }
  for (const auto& [stored, canonical] : renamed_parts) {
    const size_t at = result.find(stored);
    if (at == std::string::npos) continue;
    return result.replace(at, stored.size(), canonical);
  }
  return result;
}

std::string Architecture::published_name(std::string_view canonical) const {
  std::string result(canonical);
  for (const auto& [stored, replacement] : renamed_parts) {
    const size_t at = result.find(replacement);
    if (at == std::string::npos) continue;
    result.replace(at, replacement.size(), stored);
    break;
  }
  for (const auto& [stored, replacement] : renamed_prefixes) {
    if (!result.starts_with(replacement)) continue;
    result.replace(0, replacement.size(), stored);
    break;
  }
  return canonical_name(result) == canonical ? result : std::string(canonical);
}

void Architecture::set_tied(bool value) {
  tied = value;
  std::erase_if(specs, [](const ParameterSpec& spec) { return spec.name == kHeadName; });
  if (!value) specs.push_back({kHeadName, {traits.vocab_size, traits.hidden_size}});
}

void Architecture::set_vocab_size(int64_t size) {
  traits.vocab_size = size;
  for (ParameterSpec& spec : specs)
    if (spec.name == kEmbeddingName || spec.name == kHeadName) spec.shape[0] = size;
  std::erase_if(traits.vision_token_ids, [&](int64_t id) { return id >= size; });
}

Architecture describe_architecture(const nlohmann::json& config, const std::string& where) {
  const ConfigReader reader(config, where);
  const auto names = reader.strings_or("architectures", {});
  if (names.empty())
    reader.fail("architectures", "is missing or empty; known ones: {}", known_architectures());
  for (const Family& family : kFamilies) {
    if (family.architecture != names[0]) continue;
    Architecture architecture = family.describe(reader);
    architecture.traits.architecture = names[0];
    if (architecture.tied) architecture.set_tied(*architecture.tied);
    return architecture;
  }
  reader.fail("architectures", "names the unknown \"{}\"; known ones: {}", names[0],
              known_architectures());
}

Parameters Architecture::parameters(const ModelOptions& options) const {
  const Training training = plan_training(*this, options.train, options.lora);
  auto all = specs;
  all.insert(all.end(), training.adapters.begin(), training.adapters.end());
  return {std::move(all),   options.dtype,
          options.device,   [&](const std::string& name) { return training.trains(name); },
          options.sharding, options.lora};
}

ModelDescription describe_model(const nlohmann::json& config, const std::string& where,
                                TrainedParts parts, const LoraConfig& lora) {
  Architecture architecture = describe_architecture(config, where);
  architecture.set_tied(architecture.tied.value_or(false));
  const Training training = plan_training(architecture, parts, lora);
  ModelDescription description{architecture.traits, architecture.specs, training.adapters, {}};
  for (const auto* specs : {&description.parameters, &description.adapters})
    for (const ParameterSpec& spec : *specs)
      if (training.trains(spec.name)) description.trained.push_back(spec);
  return description;
}

void find_image_token(Architecture& architecture, const std::filesystem::path& model_dir) {
  if (architecture.traits.image_token_id || architecture.image_token.empty()) return;
  std::optional<int64_t> id;
  const auto take = [&](const nlohmann::json& value) {
    if (!id && value.is_number_integer()) id = value.get<int64_t>();
  };
  const auto read = [&](const char* name) {
    const auto path = model_dir / name;
    return std::filesystem::exists(path) ? read_json(path) : nlohmann::json::object();
  };
  const nlohmann::json added = read("added_tokens.json");
  if (added.contains(architecture.image_token)) take(added[architecture.image_token]);
  const nlohmann::json tokenizer = read("tokenizer.json");
  if (tokenizer.contains("added_tokens"))
    for (const auto& token : tokenizer["added_tokens"])
      if (token.contains("content") && token["content"] == architecture.image_token &&
          token.contains("id"))
        take(token["id"]);
  if (!id || *id < 0 || *id >= architecture.traits.vocab_size)
    throw InputError("{}: neither added_tokens.json nor tokenizer.json has a usable id for {}",
                     model_dir.string(), architecture.image_token);
  architecture.traits.image_token_id = id;
  architecture.traits.vision_token_ids.push_back(*id);
}

void add_generation_eos_ids(ModelTraits& traits, const std::filesystem::path& model_dir) {
  const auto path = model_dir / "generation_config.json";
  if (!std::filesystem::exists(path)) return;
  const nlohmann::json generation = read_json(path);
  std::vector<int64_t> ids = ConfigReader(generation, path.string()).integer_list("eos_token_id");
  ids.insert(ids.end(), traits.eos_ids.begin(), traits.eos_ids.end());
  traits.eos_ids.clear();
  for (const int64_t id : ids)
    if (std::find(traits.eos_ids.begin(), traits.eos_ids.end(), id) == traits.eos_ids.end())
      traits.eos_ids.push_back(id);
}

}  // namespace caprl
