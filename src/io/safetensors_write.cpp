#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <tuple>

#include "atomic_file.h"
#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/safetensors.h"
#include "safetensors_header.h"
#include "scalar_types.h"
#include "weight_names.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

struct Layout {
  std::vector<safetensors::Entry> entries;  // in file order
  std::vector<size_t> source;               // index of each entry's tensor
};

safetensors::Entry describe(const std::string& name, const at::Tensor& tensor,
                            const fs::path& path) {
  if (name == "__metadata__") throw Error("{}: \"{}\" cannot name a tensor", path.string(), name);
  if (!tensor.defined() || tensor.layout() != at::kStrided)
    throw Error("{}: tensor \"{}\": expected a dense tensor", path.string(), name);
  const auto dtype = safetensors::dtype_of(tensor.scalar_type());
  if (!dtype)
    throw Error("{}: tensor \"{}\": safetensors cannot hold {}", path.string(), name,
                c10::toString(tensor.scalar_type()));
  return {.name = name,
          .dtype = *dtype,
          .shape = tensor.sizes().vec(),
          .begin = 0,
          .end = tensor.nbytes()};
}

Layout lay_out(const NamedTensors& tensors, const fs::path& path) {
  std::vector<safetensors::Entry> described;
  for (const auto& [name, tensor] : tensors) described.push_back(describe(name, tensor, path));
  Layout layout;
  layout.source.resize(tensors.size());
  std::iota(layout.source.begin(), layout.source.end(), size_t{0});
  std::sort(layout.source.begin(), layout.source.end(), [&](size_t a, size_t b) {
    return std::tie(described[b].dtype, described[a].name) <
           std::tie(described[a].dtype, described[b].name);
  });
  std::set<std::string_view> names;
  uint64_t next = 0;
  for (const size_t i : layout.source) {
    if (!names.insert(tensors[i].first).second)
      throw Error("{}: tensor \"{}\" is given twice", path.string(), tensors[i].first);
    safetensors::Entry entry = described[i];
    entry.begin = next;
    next = entry.end += next;
    layout.entries.push_back(std::move(entry));
  }
  return layout;
}

bool is_weight_file(const std::string& name) {
  return name == kSingleWeightFile || name == kWeightIndex ||
         (name.starts_with("model-") && name.ends_with(".safetensors"));
}

/// Consecutive runs of tensors: a new one begins where the next tensor would exceed the limit.
std::vector<NamedTensors> split(const NamedTensors& tensors, int64_t max_bytes) {
  std::vector<NamedTensors> shards(1);
  uint64_t size = 0;
  for (const auto& item : tensors) {
    const uint64_t bytes = item.second.nbytes();
    if (!shards.back().empty() && size + bytes > static_cast<uint64_t>(max_bytes)) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(item);
    size += bytes;
  }
  return shards;
}

void write_shards(const fs::path& dir, const std::vector<NamedTensors>& shards,
                  std::vector<fs::path>& written) {
  nlohmann::json weight_map = nlohmann::json::object();
  uint64_t total_size = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const auto& [name, tensor] : shards[i]) {
      if (!weight_map.emplace(name, file).second)
        throw Error("{}: tensor \"{}\" is given twice", dir.string(), name);
      total_size += tensor.nbytes();
    }
    written.push_back(dir / file);
    write_safetensors(written.back(), shards[i]);
  }
  written.push_back(dir / kWeightIndex);
  const nlohmann::json index = {{"metadata", {{"total_size", total_size}}},
                                {"weight_map", weight_map}};
  write_file_atomic(written.back(), index.dump(2) + "\n");
}

}  // namespace

void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const Layout layout = lay_out(tensors, path);
  AtomicFile file(path);
  file.write(safetensors::serialise(layout.entries, metadata));
  for (const size_t i : layout.source) {
    const at::Tensor data = tensors[i].second.detach().to(at::kCPU).contiguous();
    file.write({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
  }
  file.commit();
}

void write_sharded_safetensors(const fs::path& dir, const NamedTensors& tensors,
                               int64_t max_shard_bytes) {
  std::error_code failure;
  fs::create_directories(dir, failure);
  if (failure) throw Error("{}: cannot create the folder: {}", dir.string(), failure.message());
  for (const auto& item : fs::directory_iterator(dir))
    if (is_weight_file(item.path().filename().string()))
      throw InputError("{}: the folder already holds weights", item.path().string());
  const std::vector<NamedTensors> shards = split(tensors, max_shard_bytes);
  if (shards.size() == 1) return write_safetensors(dir / kSingleWeightFile, shards[0]);
  std::vector<fs::path> written;
  try {
    write_shards(dir, shards, written);
  } catch (...) {
    std::error_code ignored;
    for (const fs::path& file : written) fs::remove(file, ignored);
    throw;
  }
}

}  // namespace caprl
