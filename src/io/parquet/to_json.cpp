#include "io/parquet/to_json.h"

#include <arrow/util/utf8.h>

#include <cmath>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using nlohmann::json;

json text_value(std::string_view text, const std::string& path) {
  arrow::util::InitializeUTF8();
  if (!arrow::util::ValidateUTF8(text))
    throw InputError("column '{}': expected UTF-8, got {} bytes that are none", path, text.size());
  return std::string(text);
}

/// JSON has no word for infinity.
json float_value(double value, const std::string& path) {
  if (!std::isfinite(value))
    throw InputError("column '{}': expected a finite number, got {}", path, value);
  return value;
}

json bytes_value(std::string_view bytes) { return json::binary({bytes.begin(), bytes.end()}); }

template <class List>
json list_value(const arrow::Array& array, int64_t i, const std::string& path) {
  const auto& list = static_cast<const List&>(array);
  json values = json::array();
  for (int64_t k = list.value_offset(i); k < list.value_offset(i + 1); ++k)
    values.push_back(to_json(*list.values(), k, path));
  return values;
}

json struct_value(const arrow::Array& array, int64_t i, const std::string& path) {
  const auto& fields = static_cast<const arrow::StructArray&>(array);
  json object = json::object();
  for (int f = 0; f < fields.num_fields(); ++f) {
    const std::string& name = fields.struct_type()->field(f)->name();
    object[name] = to_json(*fields.field(f), i, path + "." + name);
  }
  return object;
}

json category_value(const arrow::Array& array, int64_t i, const std::string& path) {
  const auto& categories = static_cast<const arrow::DictionaryArray&>(array);
  return to_json(*categories.dictionary(), categories.GetValueIndex(i), path);
}

template <class Array>
auto plain(const arrow::Array& array, int64_t i) {
  return static_cast<const Array&>(array).GetView(i);
}

}  // namespace

json to_json(const arrow::Array& array, int64_t i, const std::string& path) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::NA:
      return nullptr;
    case arrow::Type::BOOL:
      return plain<arrow::BooleanArray>(array, i);
    case arrow::Type::INT8:
      return plain<arrow::Int8Array>(array, i);
    case arrow::Type::INT16:
      return plain<arrow::Int16Array>(array, i);
    case arrow::Type::INT32:
      return plain<arrow::Int32Array>(array, i);
    case arrow::Type::INT64:
      return plain<arrow::Int64Array>(array, i);
    case arrow::Type::UINT8:
      return plain<arrow::UInt8Array>(array, i);
    case arrow::Type::UINT16:
      return plain<arrow::UInt16Array>(array, i);
    case arrow::Type::UINT32:
      return plain<arrow::UInt32Array>(array, i);
    case arrow::Type::UINT64:
      return plain<arrow::UInt64Array>(array, i);
    case arrow::Type::FLOAT:
      return float_value(plain<arrow::FloatArray>(array, i), path);
    case arrow::Type::DOUBLE:
      return float_value(plain<arrow::DoubleArray>(array, i), path);
    case arrow::Type::STRING:
      return text_value(plain<arrow::StringArray>(array, i), path);
    case arrow::Type::LARGE_STRING:
      return text_value(plain<arrow::LargeStringArray>(array, i), path);
    case arrow::Type::BINARY:
      return bytes_value(plain<arrow::BinaryArray>(array, i));
    case arrow::Type::LARGE_BINARY:
      return bytes_value(plain<arrow::LargeBinaryArray>(array, i));
    case arrow::Type::LIST:
      return list_value<arrow::ListArray>(array, i, path);
    case arrow::Type::LARGE_LIST:
      return list_value<arrow::LargeListArray>(array, i, path);
    case arrow::Type::STRUCT:
      return struct_value(array, i, path);
    case arrow::Type::DICTIONARY:
      return category_value(array, i, path);
    default:  // refused when the columns were chosen
      throw InputError("column '{}': {} has no JSON form", path, array.type()->ToString());
  }
}

}  // namespace caprl
