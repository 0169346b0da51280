// The typed values at the front of a GGUF file.
#include <cstring>

#include "caprl/core/error.h"
#include "caprl/io/gguf.h"
#include "gguf_cursor.h"

namespace caprl {
namespace {

using gguf::Cursor;

// Types of metadata values.
constexpr uint32_t kBool = 7, kString = 8, kList = 9, kU64 = 10, kNumTypes = 13;
/// Bytes of a value; 0 for those that have a length of their own.
constexpr uint8_t kTypeBytes[kNumTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

bool is_float(uint32_t type) { return type == 6 || type == 12; }
bool is_integer(uint32_t type) { return type <= 5 || type == kU64 || type == 11; }
bool is_number(uint32_t type) { return is_float(type) || is_integer(type); }
bool is_bool(uint32_t type) { return type == kBool; }
bool is_string(uint32_t type) { return type == kString; }

std::string describe(uint32_t type, bool is_list) {
  const std::string_view one = is_float(type)    ? "number"
                               : is_bool(type)   ? "boolean"
                               : is_string(type) ? "string"
                                                 : "integer";
  if (is_list) return fmt::format("a list of {}s", one);
  return fmt::format("{} {}", one == "integer" ? "an" : "a", one);
}

template <class T>
T load(std::string_view bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

/// The bytes of `count` values, checked.
std::string_view read_values(Cursor& in, uint32_t type, uint64_t count) {
  if (!is_string(type)) {
    const std::string_view bytes = in.bytes("value", count * kTypeBytes[type]);
    if (is_bool(type))
      for (const char item : bytes)
        if (item != 0 && item != 1)
          in.fail("value", "expected a boolean of 0 or 1, got {}", static_cast<uint8_t>(item));
    return bytes;
  }
  const uint64_t begin = in.position();
  for (uint64_t i = 0; i < count; ++i) in.string("string");
  return in.since(begin);
}

}  // namespace

GgufFile::Value GgufFile::read_value(Cursor& in) {
  Value value{in.number<uint32_t>("value type"), false, 1, {}};
  const char* field = "value type";
  if (value.type == kList) {
    field = "list type";
    value.is_list = true;
    value.type = in.number<uint32_t>(field);
    if (value.type == kList) in.fail(field, "expected lists of plain values, got a list of lists");
  }
  if (value.type >= kNumTypes)
    in.fail(field, "expected 0 to {}, got {}", kNumTypes - 1, value.type);
  if (value.is_list)
    value.count = in.count("list length", is_string(value.type) ? 8 : kTypeBytes[value.type]);
  value.data = read_values(in, value.type, value.count);
  return value;
}

const GgufFile::Value& GgufFile::value(std::string_view key, bool is_list,
                                       std::string_view expected,
                                       bool (*accepts)(uint32_t type)) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    throw InputError("{}: metadata \"{}\" is missing", path_.string(), key);
  const Value& value = found->second;
  if (value.is_list != is_list || !accepts(value.type))
    throw InputError("{}: metadata \"{}\": expected {}, got {}", path_.string(), key, expected,
                     describe(value.type, value.is_list));
  return value;
}

int64_t GgufFile::integer_at(std::string_view key, const Value& value, uint64_t index) const {
  switch (value.type) {
    case 0:
      return load<uint8_t>(value.data, index);
    case 1:
      return load<int8_t>(value.data, index);
    case 2:
      return load<uint16_t>(value.data, index);
    case 3:
      return load<int16_t>(value.data, index);
    case 4:
      return load<uint32_t>(value.data, index);
    case 5:
      return load<int32_t>(value.data, index);
    default:
      break;
  }
  const auto number = load<int64_t>(value.data, index);
  if (value.type == kU64 && number < 0)
    throw InputError("{}: metadata \"{}\": expected at most 2^63 - 1, got {}", path_.string(), key,
                     static_cast<uint64_t>(number));
  return number;
}

double GgufFile::number_at(std::string_view key, const Value& value, uint64_t index) const {
  if (!is_float(value.type)) return static_cast<double>(integer_at(key, value, index));
  return kTypeBytes[value.type] == 4 ? load<float>(value.data, index)
                                     : load<double>(value.data, index);
}

int64_t GgufFile::integer(std::string_view key) const {
  return integer_at(key, value(key, false, "an integer", is_integer), 0);
}

double GgufFile::number(std::string_view key) const {
  return number_at(key, value(key, false, "a number", is_number), 0);
}

bool GgufFile::boolean(std::string_view key) const {
  return value(key, false, "a boolean", is_bool).data[0] != 0;
}

std::string_view GgufFile::string(std::string_view key) const {
  return value(key, false, "a string", is_string).data.substr(sizeof(uint64_t));
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  const Value& list = value(key, true, "a list of integers", is_integer);
  std::vector<int64_t> items(list.count);
  for (uint64_t i = 0; i < list.count; ++i) items[i] = integer_at(key, list, i);
  return items;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
  const Value& list = value(key, true, "a list of numbers", is_number);
  std::vector<double> items(list.count);
  for (uint64_t i = 0; i < list.count; ++i) items[i] = number_at(key, list, i);
  return items;
}

std::vector<bool> GgufFile::booleans(std::string_view key) const {
  const Value& list = value(key, true, "a list of booleans", is_bool);
  return std::vector<bool>(list.data.begin(), list.data.end());
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  const Value& list = value(key, true, "a list of strings", is_string);
  std::vector<std::string_view> items(list.count);
  std::string_view rest = list.data;
  for (std::string_view& item : items) {
    item = rest.substr(sizeof(uint64_t), load<uint64_t>(rest, 0));
    rest.remove_prefix(sizeof(uint64_t) + item.size());
  }
  return items;
}

}  // namespace caprl
