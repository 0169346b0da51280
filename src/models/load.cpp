#include "load.h"

#include <ATen/ATen.h>

#include "adapters.h"
#include "architecture.h"
#include "caprl/core/log.h"
#include "caprl/io/json.h"
#include "sources.h"

namespace caprl {
namespace {

/// What only the weights say: the size of the vocabulary, and whether there is a head where the
/// config is silent.
void adapt_to_weights(Architecture& architecture, const SourceNames& sources,
                      const WeightFiles& weights) {
  if (!architecture.tied) architecture.set_tied(!sources.contains(kHeadName));
  const auto embedding = sources.find(kEmbeddingName);
  if (embedding == sources.end()) return;
  const auto& shape = weights.shape(embedding->second);
  ModelTraits& traits = architecture.traits;
  if (shape.size() != 2 || shape[0] < 1 || shape[0] == traits.vocab_size) return;
  log_warning("{}: {} has {} rows, config.json says vocab_size {}; going by the tensor",
              weights.file(embedding->second).path().string(), embedding->second, shape[0],
              traits.vocab_size);
  architecture.set_vocab_size(shape[0]);
  if (traits.image_token_id && *traits.image_token_id >= shape[0])
    throw InputError("{}: {} has {} rows, so image_token_id {} is outside the vocabulary",
                     weights.file(embedding->second).path().string(), embedding->second, shape[0],
                     *traits.image_token_id);
}

void check_names(const Architecture& architecture, const SourceNames& sources,
                 const std::filesystem::path& dir) {
  std::unordered_map<std::string_view, bool> wanted;
  std::vector<std::string> missing, unexpected;
  for (const ParameterSpec& spec : architecture.specs) {
    wanted[spec.name] = true;
    if (!sources.contains(spec.name)) missing.push_back(spec.name);
  }
  for (const auto& [name, stored] : sources) {
    const bool passed_over = name == kHeadName && *architecture.tied;
    if (!wanted.contains(name) && !passed_over) unexpected.push_back(stored);
  }
  if (!missing.empty())
    throw InputError(
        "{}: the weights lack {} of the {} tensors that config.json asks for: {}", dir.string(),
        missing.size(), architecture.specs.size(),
        fmt::join(missing.begin(), missing.begin() + std::min<size_t>(missing.size(), 3), ", "));
  if (unexpected.empty()) return;
  std::sort(unexpected.begin(), unexpected.end());
  throw InputError("{}: the weights hold {} tensors that do not belong to this {}: {}",
                   dir.string(), unexpected.size(), architecture.traits.architecture,
                   fmt::join(unexpected.begin(),
                             unexpected.begin() + std::min<size_t>(unexpected.size(), 3), ", "));
}

void check_shapes(const Architecture& architecture, const SourceNames& sources,
                  const WeightFiles& weights) {
  for (const ParameterSpec& spec : architecture.specs) {
    const std::string& stored = sources.at(spec.name);
    const auto& entry = weights.entry(stored);
    const std::string file = weights.file(stored).path().string();
    if (entry.shape != spec.shape)
      throw InputError("{}: tensor {} should have shape [{}] by config.json, got [{}]", file,
                       stored, fmt::join(spec.shape, ", "), fmt::join(entry.shape, ", "));
    if (!at::isFloatingType(entry.dtype))
      throw InputError("{}: tensor {} should hold floating-point numbers, got {}", file, stored,
                       at::toString(entry.dtype));
  }
}

void warn_of_untied_head(const SourceNames& sources, const WeightFiles& weights) {
  const auto head = sources.find(kHeadName);
  if (head == sources.end()) return;
  const at::Tensor stored = weights.tensor(head->second);
  const at::Tensor embedding = weights.tensor(sources.at(kEmbeddingName));
  if (stored.sizes() != embedding.sizes() || stored.scalar_type() != embedding.scalar_type() ||
      !at::equal(stored, embedding))
    log_warning(
        "{}: {} differs from the embedding although config.json ties them; going by the embedding",
        weights.file(head->second).path().string(), head->second);
}

}  // namespace

SourceNames find_sources(const Architecture& architecture, const WeightFiles& weights) {
  SourceNames sources;
  for (const std::string& stored : weights.names()) {
    const auto [it, is_new] = sources.emplace(architecture.canonical_name(stored), stored);
    if (!is_new)
      throw InputError("{}: the tensors {} and {} are the same parameter",
                       weights.file(stored).path().string(), it->second, stored);
  }
  return sources;
}

std::unique_ptr<Model> Model::load(const std::filesystem::path& dir, const ModelOptions& options) {
  if (is_adapter(dir)) return load_merged(base_of_adapter(dir), dir, options);
  return load_model(dir, options,
                    [](const ParameterSpec&, const at::Tensor& stored) { return stored; });
}

std::unique_ptr<Model> load_model(const std::filesystem::path& dir, const ModelOptions& options,
                                  const FromStored& from_stored) {
  const auto config_path = dir / "config.json";
  Architecture architecture = describe_architecture(read_json(config_path), config_path.string());
  add_generation_eos_ids(architecture.traits, dir);
  find_image_token(architecture, dir);
  const WeightFiles weights = WeightFiles::open(dir);
  const SourceNames sources = find_sources(architecture, weights);
  adapt_to_weights(architecture, sources, weights);
  check_names(architecture, sources, dir);
  check_shapes(architecture, sources, weights);
  if (*architecture.tied) warn_of_untied_head(sources, weights);

  Parameters parameters = architecture.parameters(options);
  parameters.fill([&](const ParameterSpec& spec) {
    if (is_adapter_name(spec.name)) return first_adapter_values(spec, options.seed);
    return from_stored(spec, weights.tensor(sources.at(spec.name)));
  });
  auto model = architecture.build(architecture.traits, std::move(parameters));
  model->set_recompute(options.recompute);
  return model;
}

}  // namespace caprl
