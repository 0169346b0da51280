#include "caprl/io/weight_files.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "weight_names.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Tensor name → shard. Links inside the folder are followed (download caches use them); the text
/// may not lead out of it.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const json index = read_json(path);
  const auto found = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || found == index.end() || !found->is_object() || found->empty())
    throw InputError("{}: \"weight_map\": expected an object of tensor names and files",
                     path.string());
  std::map<std::string, std::string> weight_map;
  for (const auto& [name, file] : found->items()) {
    if (!file.is_string())
      throw InputError("{}: tensor \"{}\": expected a file name, got {}", path.string(), name,
                       file.dump());
    const fs::path relative = file.get<std::string>();
    const bool leads_out = std::find(relative.begin(), relative.end(), "..") != relative.end();
    if (relative.empty() || relative.is_absolute() || leads_out)
      throw InputError("{}: tensor \"{}\": expected a file in the same folder, got {}",
                       path.string(), name, file.dump());
    weight_map.emplace(name, relative.string());
  }
  return weight_map;
}

std::vector<SafetensorsFile> open_shards(const fs::path& dir, const fs::path& index,
                                         const std::map<std::string, std::string>& weight_map) {
  std::vector<SafetensorsFile> shards;
  std::map<std::string, size_t> opened;  // file name → index
  for (const auto& [name, file] : weight_map) {
    const auto [place, is_new] = opened.emplace(file, shards.size());
    if (is_new && !fs::exists(dir / file))
      throw InputError("{}: tensor \"{}\": there is no file {}", index.string(), name,
                       (dir / file).string());
    if (is_new) shards.emplace_back(dir / file);
    if (!shards[place->second].contains(name))
      throw InputError("{}: tensor \"{}\" is not in {}, where the index says", index.string(), name,
                       file);
  }
  // The index's tensors are all there; what else the shards hold would be lost without a word.
  for (const SafetensorsFile& shard : shards) {
    for (const SafetensorsFile::Entry& entry : shard.entries()) {
      const auto named = weight_map.find(entry.name);
      if (named == weight_map.end())
        throw InputError("{}: tensor \"{}\" of {} is not in the index", index.string(), entry.name,
                         shard.path().filename().string());
      if (dir / named->second != shard.path())
        throw InputError("{}: tensor \"{}\" is in two shards, {} and {}", index.string(),
                         entry.name, named->second, shard.path().filename().string());
    }
  }
  return shards;
}

}  // namespace

WeightFiles WeightFiles::open(const fs::path& model_dir) {
  if (!fs::is_directory(model_dir))
    throw InputError("{}: expected a model directory, got {}", model_dir.string(),
                     fs::exists(model_dir) ? "a file" : "nothing");
  const fs::path single = model_dir / kSingleWeightFile;
  const fs::path index = model_dir / kWeightIndex;
  std::vector<SafetensorsFile> files;
  if (fs::exists(single)) {
    files.emplace_back(single);
  } else if (fs::exists(index)) {
    files = open_shards(model_dir, index, read_index(index));
  } else {
    throw InputError("{}: no weights: expected {} or {}", model_dir.string(), kSingleWeightFile,
                     kWeightIndex);
  }
  return {model_dir, std::move(files)};
}

WeightFiles::WeightFiles(fs::path dir, std::vector<SafetensorsFile> files)
    : dir_(std::move(dir)), files_(std::move(files)) {
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const SafetensorsFile::Entry& entry : files_[i].entries()) {
      names_.push_back(entry.name);
      index_.emplace(entry.name, i);
    }
  }
  std::sort(names_.begin(), names_.end());
}

const SafetensorsFile& WeightFiles::file(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end())
    throw InputError("{}: no tensor named \"{}\" in the weights", dir_.string(), name);
  return files_[found->second];
}

}  // namespace caprl
