#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "adapters.h"
#include "architecture.h"
#include "caprl/io/json.h"
#include "caprl/io/weight_files.h"
#include "other_files.h"

namespace caprl {
namespace {

/// Weights, in whatever format: those of the source would contradict the ones that are written.
bool holds_weights(const std::filesystem::path& file) {
  constexpr std::array<std::string_view, 7> kEndings = {
      ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf"};
  const std::string name = file.filename().string();
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace

void copy_other_files(const std::filesystem::path& source, const std::filesystem::path& dir) {
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    const auto name = entry.path().filename();
    if (!entry.is_regular_file() || name.string().starts_with(".") || holds_weights(name)) continue;
    std::error_code error;
    std::filesystem::copy_file(entry.path(), dir / name,
                               std::filesystem::copy_options::overwrite_existing, error);
    if (error)
      throw Error("{} cannot be copied to {}: {}", entry.path().string(), dir.string(),
                  error.message());
  }
}

NamedTensors stored_weights(const Model& model, const std::filesystem::path& source_dir) {
  const auto config_path = source_dir / "config.json";
  const Architecture architecture =
      describe_architecture(read_json(config_path), config_path.string());
  const WeightFiles source = WeightFiles::open(source_dir);
  NamedTensors tensors;
  size_t num_parameters = 0;
  for (const std::string& stored : source.names()) {
    const std::string name = architecture.canonical_name(stored);
    const bool tied_head = name == kHeadName && !model.parameters().contains(name);
    if (!tied_head && !model.parameters().contains(name))
      throw Error("{} holds {}, which the model to be saved does not have", source_dir.string(),
                  stored);
    tensors.emplace_back(stored,
                         tied_head ? model.head_weight().detach().to(source.dtype(stored))
                                   : merged_weight(model.parameters(), name, source.dtype(stored)));
    num_parameters += !tied_head;
  }
  const auto expected = static_cast<size_t>(
      std::ranges::count_if(model.parameters().specs(),
                            [](const ParameterSpec& spec) { return !is_adapter_name(spec.name); }));
  if (num_parameters != expected)
    throw Error("{} holds {} of the {} parameters of the model to be saved", source_dir.string(),
                num_parameters, expected);
  return tensors;
}

void save_model(const Model& model, const std::filesystem::path& source_dir,
                const std::filesystem::path& dir) {
  save_model(stored_weights(model, source_dir), source_dir, dir);
}

void save_model(const NamedTensors& stored, const std::filesystem::path& source_dir,
                const std::filesystem::path& dir) {
  write_sharded_safetensors(dir, stored);
  copy_other_files(source_dir, dir);
}

}  // namespace caprl
