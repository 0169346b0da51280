// Model files of the llama.cpp kind: typed metadata and tensors, quantised or not.
// Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace caprl {

class MappedFile;
namespace gguf {
class Cursor;
}

/// One .gguf file, mapped into memory. Immutable; thread safe. The file must not be truncated while
/// it is in use. Every error is an InputError "FILE: field: …".
class GgufFile {
 public:
  struct Entry {
    std::string_view name;
    std::string_view type;  // "F32", "Q4_K", …
    uint32_t type_id;
    std::vector<int64_t> shape;  // slowest first, as torch has it: the file's order reversed
    uint64_t begin, end;         // bytes from the start of the file
  };

  /// Checks everything but the tensors' values before it returns: magic and version, counts and
  /// lengths against what is left of the file, types, alignment, shapes, and that tensors are
  /// inside the file and apart. Takes some ten bytes of memory at most for each of the file's.
  explicit GgufFile(std::filesystem::path path);
  GgufFile(GgufFile&&) = default;  // no copies: index_ points into entries_
  GgufFile& operator=(GgufFile&&) = default;

  const std::filesystem::path& path() const { return path_; }
  uint32_t version() const { return version_; }
  bool has(std::string_view key) const { return metadata_.contains(key); }
  /// Metadata. InputError for an absent key, a value of another type, and an integer of 2^63 or
  /// more. Integers count as numbers. Strings live as long as the file object.
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::string_view string(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<bool> booleans(std::string_view key) const;
  std::vector<std::string_view> strings(std::string_view key) const;

  const std::vector<Entry>& tensors() const { return entries_; }  // in file order
  bool contains(std::string_view name) const { return index_.contains(name); }
  const Entry& entry(std::string_view name) const;  // InputError for an unknown name

  /// F32, F16 and BF16 in their own dtype, as read-only memory that aliases the mapping and keeps
  /// it alive (copied where the file does not align them); quantised types as new float32 values.
  at::Tensor tensor(std::string_view name) const;

 private:
  /// Of metadata, checked but not decoded.
  struct Value {
    uint32_t type;
    bool is_list;
    uint64_t count;         // 1 if it is no list
    std::string_view data;  // bytes of the file
  };
  static Value read_value(gguf::Cursor& in);
  const Value& value(std::string_view key, bool is_list, std::string_view expected,
                     bool (*accepts)(uint32_t type)) const;
  int64_t integer_at(std::string_view key, const Value& value, uint64_t index) const;
  double number_at(std::string_view key, const Value& value, uint64_t index) const;
  uint64_t checked_alignment(const gguf::Cursor& in) const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  uint32_t version_ = 0;
  std::map<std::string_view, Value> metadata_;  // keys are bytes of the file
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace caprl
