#include "safetensors_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "caprl/core/error.h"
#include "caprl/io/json.h"

namespace caprl::safetensors {
namespace {

using nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

uint64_t read_little_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

std::string_view header_text(std::span<const std::byte> bytes, std::string_view file) {
  if (bytes.size() < kPrefixBytes)
    throw InputError("{}: truncated: expected an 8-byte header length, got a file of {} bytes",
                     file, bytes.size());
  const uint64_t length = read_little_endian(bytes);
  if (length > kMaxHeaderBytes)
    throw InputError("{}: header length: expected at most {} bytes, got {}", file, kMaxHeaderBytes,
                     length);
  if (length > bytes.size() - kPrefixBytes)
    throw InputError("{}: truncated: the header needs {} bytes, got a file of {} bytes", file,
                     kPrefixBytes + length, bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kPrefixBytes, length);
  if (!text.starts_with('{'))
    throw InputError("{}: not a safetensors file: its header does not start with '{{'", file);
  return text;
}

Dtype parse_dtype(const json& value, std::string_view where) {
  if (value.is_string()) {
    const auto& name = value.get_ref<const std::string&>();
    for (const DtypeInfo& known : kDtypes)
      if (known.name == name) return known.dtype;
  }
  throw InputError("{}: unknown dtype {}", where, value.dump());
}

const json& member(const json& entry, const char* key, std::string_view where) {
  const auto found = entry.find(key);
  if (found == entry.end()) throw InputError("{}: \"{}\" is missing", where, key);
  return *found;
}

std::vector<int64_t> parse_shape(const json& value, std::string_view where) {
  const auto is_size = [](const json& n) {
    return n.is_number_unsigned() &&
           n.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_size))
    throw InputError("{}: shape: expected a list of sizes, got {}", where, value.dump());
  return value.get<std::vector<int64_t>>();
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Entry parse_entry(const std::string& name, const json& value, std::string_view file) {
  const std::string where = fmt::format("{}: tensor \"{}\"", file, name);
  if (!value.is_object())
    throw InputError("{}: expected an object with dtype, shape and data_offsets, got {}", where,
                     value.type_name());
  Entry entry{.name = name,
              .dtype = parse_dtype(member(value, "dtype", where), where),
              .shape = parse_shape(member(value, "shape", where), where),
              .begin = 0,
              .end = 0};
  const json& offsets = member(value, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned() || offsets[0].get<uint64_t>() > offsets[1].get<uint64_t>())
    throw InputError("{}: data_offsets: expected [begin, end], got {}", where, offsets.dump());
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();

  const std::optional<uint64_t> expected = byte_size(entry.dtype, entry.shape);
  if (!expected)
    throw InputError("{}: shape {} of {} has more bytes than 64 bits can count", where,
                     shape_text(entry.shape), info(entry.dtype).name);
  if (*expected != entry.end - entry.begin)
    throw InputError("{}: expected {} bytes for shape {} of {}, got {} (data_offsets [{}, {}])",
                     where, *expected, shape_text(entry.shape), info(entry.dtype).name,
                     entry.end - entry.begin, entry.begin, entry.end);
  return entry;
}

std::map<std::string, std::string> parse_metadata(const json& value, std::string_view file) {
  const auto is_string = [](const json& item) { return item.is_string(); };
  if (!value.is_object() || !std::all_of(value.begin(), value.end(), is_string))
    throw InputError("{}: {}: expected an object of strings, got {}", file, kMetadataKey,
                     value.is_object() ? "other values" : value.type_name());
  return value.get<std::map<std::string, std::string>>();
}

/// The tensors must tile the data without gap or overlap: no byte of the file is unaccounted for.
void check_layout(const Header& header, uint64_t file_size, std::string_view file) {
  uint64_t next = 0;
  for (const Entry& entry : header.entries) {
    if (entry.begin != next)
      throw InputError("{}: tensor \"{}\": {}: expected its data to begin at {}, got {}", file,
                       entry.name, entry.begin < next ? "overlap" : "gap", next, entry.begin);
    next = entry.end;
  }
  const uint64_t data_size = file_size - header.data_start;
  if (next > data_size)
    throw InputError("{}: truncated: expected {} bytes of tensor data, got {}", file, next,
                     data_size);
  if (next < data_size)
    throw InputError("{}: trailing bytes: expected {} bytes of tensor data, got {}", file, next,
                     data_size);
}

}  // namespace

std::optional<uint64_t> byte_size(Dtype dtype, std::span<const int64_t> shape) {
  uint64_t bytes = info(dtype).size;
  for (const int64_t extent : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) return std::nullopt;
  return bytes;
}

Header parse(std::span<const std::byte> bytes, std::string_view file) {
  const std::string_view text = header_text(bytes, file);
  const json root = parse_json(text, fmt::format("{}: header", file));
  Header header;
  header.data_start = kPrefixBytes + text.size();
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadataKey) {
      header.metadata = parse_metadata(value, file);
    } else {
      header.entries.push_back(parse_entry(name, value, file));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_layout(header, bytes.size(), file);
  return header;
}

std::string serialise(std::span<const Entry> entries,
                      const std::map<std::string, std::string>& metadata) {
  // Put together by hand: JSON objects of the library are either sorted or of quadratic cost.
  std::string text = "{";
  if (!metadata.empty()) text += fmt::format("\"{}\":{}", kMetadataKey, json(metadata).dump());
  for (const Entry& entry : entries) {
    if (text.size() > 1) text += ',';
    text += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        json(entry.name).dump(), info(entry.dtype).name,
                        fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  text += '}';
  text.resize((text.size() + kPrefixBytes - 1) / kPrefixBytes * kPrefixBytes, ' ');
  std::string prefix(kPrefixBytes, '\0');
  for (size_t i = 0; i < kPrefixBytes; ++i)
    prefix[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return prefix + text;
}

}  // namespace caprl::safetensors
