// The safetensors format without tensors: what the header says, checked. Format:
// github.com/huggingface/safetensors.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl::safetensors {

/// In the format's order; files are laid out in descending order of it, so that every tensor is
/// aligned.
enum class Dtype {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64
};

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;
  uint64_t size;  // bytes
};
inline constexpr std::array<DtypeInfo, 15> kDtypes = {{{Dtype::kBool, "BOOL", 1},
                                                       {Dtype::kU8, "U8", 1},
                                                       {Dtype::kI8, "I8", 1},
                                                       {Dtype::kF8E5M2, "F8_E5M2", 1},
                                                       {Dtype::kF8E4M3, "F8_E4M3", 1},
                                                       {Dtype::kI16, "I16", 2},
                                                       {Dtype::kU16, "U16", 2},
                                                       {Dtype::kF16, "F16", 2},
                                                       {Dtype::kBF16, "BF16", 2},
                                                       {Dtype::kI32, "I32", 4},
                                                       {Dtype::kU32, "U32", 4},
                                                       {Dtype::kF32, "F32", 4},
                                                       {Dtype::kF64, "F64", 8},
                                                       {Dtype::kI64, "I64", 8},
                                                       {Dtype::kU64, "U64", 8}}};
inline const DtypeInfo& info(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

struct Entry {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;
  uint64_t begin, end;  // bytes, relative to the start of the data
};

struct Header {
  std::vector<Entry> entries;  // by offset
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  // byte offset in the file
};

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

/// Parses and checks a whole file. `file` starts every InputError.
Header parse(std::span<const std::byte> bytes, std::string_view file);

/// Bytes of a tensor, or nothing if the product overflows.
std::optional<uint64_t> byte_size(Dtype dtype, std::span<const int64_t> shape);

/// Length prefix and padded header for entries that are already laid out.
std::string serialise(std::span<const Entry> entries,
                      const std::map<std::string, std::string>& metadata);

}  // namespace caprl::safetensors
