#include "caprl/io/gguf.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "caprl/core/error.h"
#include "gguf_blocks.h"
#include "gguf_cursor.h"
#include "mapped_file.h"

namespace caprl {
namespace {

using gguf::Cursor;

constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = int64_t{1} << 31;
constexpr uint32_t kMaxDims = 4;
// The fewest bytes that a metadata entry and a tensor's description can take.
constexpr uint64_t kMinMetadataBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

uint32_t read_version(Cursor& in) {
  const std::string_view magic = in.bytes("magic", 4);
  if (magic != "GGUF")
    in.fail("magic", "expected \"GGUF\", got bytes {:02x}; this is no GGUF file",
            fmt::join(std::vector<uint8_t>(magic.begin(), magic.end()), " "));
  const auto version = in.number<uint32_t>("version");
  if (version != 2 && version != 3)
    in.fail("version", "expected 2 or 3, got {}{}", version,
            (version & 0xffff) == 0 && version != 0 ? " (a big-endian file)" : "");
  return version;
}

std::vector<int64_t> read_shape(Cursor& in) {
  const auto num_dims = in.number<uint32_t>("number of dimensions");
  if (num_dims < 1 || num_dims > kMaxDims)
    in.fail("number of dimensions", "expected 1 to {}, got {}", kMaxDims, num_dims);
  std::vector<int64_t> shape(num_dims);
  for (uint32_t i = 0; i < num_dims; ++i) {
    const auto extent = in.number<uint64_t>("dimension");
    if (extent < 1 || extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      in.fail("dimension", "expected a positive 64-bit integer, got {}", extent);
    shape[num_dims - 1 - i] = static_cast<int64_t>(extent);
  }
  return shape;
}

uint64_t byte_size(const Cursor& in, const gguf::BlockType& type,
                   const std::vector<int64_t>& shape) {
  if (shape.back() % type.num_values != 0)
    in.fail("dimension", "expected rows of a multiple of {} values for {}, got {}", type.num_values,
            type.name, shape.back());
  uint64_t values = 1;
  for (const int64_t extent : shape)
    // Torch has to be able to count the bytes in float32 too.
    if (__builtin_mul_overflow(values, static_cast<uint64_t>(extent), &values) || values >> 60 != 0)
      in.fail("dimensions", "expected at most 2^60 values, got shape [{}]", fmt::join(shape, ", "));
  return values / type.num_values * type.num_bytes;
}

/// `begin` and `end` of the result are relative to the data, whose start is not known yet.
GgufFile::Entry read_entry(Cursor& in, uint64_t alignment) {
  GgufFile::Entry entry;
  entry.name = in.string("tensor name");
  in.enter(fmt::format("tensor \"{}\"", entry.name));
  entry.shape = read_shape(in);
  entry.type_id = in.number<uint32_t>("type");
  const gguf::BlockType* type = gguf::find_type(entry.type_id);
  if (type == nullptr)
    in.fail("type", "expected one of {}, got {}", gguf::supported_types(),
            gguf::describe_type(entry.type_id));
  entry.type = type->name;
  entry.begin = in.number<uint64_t>("offset");
  if (entry.begin % alignment != 0)
    in.fail("offset", "expected a multiple of the alignment {}, got {}", alignment, entry.begin);
  if (__builtin_add_overflow(entry.begin, byte_size(in, *type, entry.shape), &entry.end))
    in.fail("offset", "expected one inside the file, got {}", entry.begin);
  return entry;
}

void check_layout(const std::vector<GgufFile::Entry>& entries, uint64_t data_size,
                  const std::string& file) {
  std::vector<const GgufFile::Entry*> by_offset;
  by_offset.reserve(entries.size());
  for (const GgufFile::Entry& entry : entries) {
    if (entry.end > data_size)
      throw InputError("{}: tensor \"{}\": expected {} bytes of data at offset {}, got {} in all",
                       file, entry.name, entry.end - entry.begin, entry.begin, data_size);
    by_offset.push_back(&entry);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < by_offset.size(); ++i)
    if (by_offset[i]->begin < by_offset[i - 1]->end)
      throw InputError("{}: tensor \"{}\": offset: expected at least {}, the end of \"{}\", got {}",
                       file, by_offset[i]->name, by_offset[i - 1]->end, by_offset[i - 1]->name,
                       by_offset[i]->begin);
}

}  // namespace

uint64_t GgufFile::checked_alignment(const Cursor& in) const {
  const auto found = metadata_.find(kAlignmentKey);
  if (found == metadata_.end()) return kDefaultAlignment;
  const int64_t alignment = integer(kAlignmentKey);
  if (alignment < 1 || alignment > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(alignment)))
    in.fail(kAlignmentKey, "expected a power of two up to {}, got {}", kMaxAlignment, alignment);
  return static_cast<uint64_t>(alignment);
}

GgufFile::GgufFile(std::filesystem::path path)
    : path_(std::move(path)), file_(std::make_shared<const MappedFile>(path_)) {
  Cursor in(file_->bytes(), path_.string());
  version_ = read_version(in);
  const auto num_tensors = in.number<uint64_t>("tensor count");
  const auto num_metadata = in.count("metadata count", kMinMetadataBytes);
  in.check_count("tensor count", num_tensors, kMinTensorBytes);
  for (uint64_t i = 0; i < num_metadata; ++i) {
    in.enter("");
    const std::string_view key = in.string("metadata key");
    in.enter(fmt::format("metadata \"{}\"", key));
    if (!metadata_.emplace(key, read_value(in)).second)
      in.fail("key", "expected each once, got it twice");
  }
  in.enter("");
  const uint64_t alignment = checked_alignment(in);
  in.check_count("tensor count", num_tensors, kMinTensorBytes);
  entries_.reserve(num_tensors);
  for (uint64_t i = 0; i < num_tensors; ++i) {
    in.enter("");
    entries_.push_back(read_entry(in, alignment));
    if (!index_.emplace(entries_.back().name, i).second)
      in.fail("name", "expected each once, got it twice");
  }
  const uint64_t data_start = (in.position() + alignment - 1) / alignment * alignment;
  const uint64_t file_size = file_->bytes().size();
  check_layout(entries_, file_size - std::min(file_size, data_start), path_.string());
  for (Entry& entry : entries_) entry.begin += data_start, entry.end += data_start;
}

const GgufFile::Entry& GgufFile::entry(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw InputError("{}: no tensor named \"{}\"", path_.string(), name);
  return entries_[found->second];
}

at::Tensor GgufFile::tensor(std::string_view name) const {
  const Entry& wanted = entry(name);
  const gguf::BlockType& type = *gguf::find_type(wanted.type_id);
  const std::byte* data = file_->bytes().data() + wanted.begin;
  const auto options = at::TensorOptions().dtype(type.dtype.value_or(at::kFloat));
  if (!type.dtype) {
    at::Tensor values = at::empty(wanted.shape, options);
    gguf::dequantise(type, data, values.numel() / type.num_values, values.data_ptr<float>());
    return values;
  }
  if (reinterpret_cast<uintptr_t>(data) % type.num_bytes != 0) {
    at::Tensor copy = at::empty(wanted.shape, options);
    std::memcpy(copy.data_ptr(), data, copy.nbytes());
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(data), wanted.shape, [keep = file_](void*) {}, options);
}

}  // namespace caprl
