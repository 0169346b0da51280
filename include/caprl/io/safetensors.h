// Tensor files of the Hugging Face kind: memory-mapped reading, streamed writing.
// Format: github.com/huggingface/safetensors.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace caprl {

class MappedFile;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// One .safetensors file, mapped into memory. Immutable; thread safe. The file must not be
/// truncated while it is in use.
class SafetensorsFile {
 public:
  struct Entry {
    std::string name;
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    uint64_t begin, end;  // bytes, relative to the start of the data
  };

  /// Checks the whole header before it returns. InputError names the file, the tensor, what was
  /// expected and what was there: missing, empty or truncated file, header above 100,000,000 bytes,
  /// bad JSON, duplicate names, gaps, overlaps, trailing bytes, sizes that contradict shapes,
  /// unknown dtypes.
  explicit SafetensorsFile(std::filesystem::path path);
  SafetensorsFile(SafetensorsFile&&) = default;  // no copies: index_ points into entries_
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<Entry>& entries() const { return entries_; }  // in file order
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(std::string_view name) const;
  const Entry& entry(std::string_view name) const;  // InputError for an unknown name

  /// A CPU tensor that aliases the mapping and keeps it alive. The memory is read-only: writing to
  /// the tensor ends the process. Data that the file does not align for its dtype are copied.
  at::Tensor tensor(std::string_view name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t data_start_ = 0;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> index_;  // names are owned by entries_
};

/// What transformers expects to find in a file's metadata.
inline const std::map<std::string, std::string> kTorchMetadata = {{"format", "pt"}};

/// Writes one file; the reader sees it whole or not at all, and a failed write (a full disk) is an
/// Error that names the path and leaves nothing behind. Tensors may be on any device and need not
/// be contiguous; one at a time is copied. Byte for byte what the reference implementation writes:
/// by dtype descending, then by name. With empty metadata the key is left out.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = kTorchMetadata);

inline constexpr int64_t kDefaultShardBytes = 5'000'000'000;

/// Writes `dir` (created)/model.safetensors, or, above `max_shard_bytes`,
/// model-00001-of-0000n.safetensors and model.safetensors.index.json (written last). Tensors fill
/// the shards in the given order; one above the limit has a shard of its own. InputError if `dir`
/// already holds weights; after an Error none of these files remain.
void write_sharded_safetensors(const std::filesystem::path& dir, const NamedTensors& tensors,
                               int64_t max_shard_bytes = kDefaultShardBytes);

}  // namespace caprl
