#include "io/parquet/from_json.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>

#include <limits>
#include <map>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using arrow::ArrayBuilder;
using arrow::Status;
using nlohmann::json;
using Kind = ColumnType::Kind;

std::shared_ptr<arrow::DataType> leaf_type(const ColumnType& type, const std::string& path) {
  static const std::map<std::string, std::shared_ptr<arrow::DataType>> leaves = [] {
    std::map<std::string, std::shared_ptr<arrow::DataType>> types;
    for (const auto& leaf :
         {arrow::null(), arrow::boolean(), arrow::int8(), arrow::int16(), arrow::int32(),
          arrow::int64(), arrow::uint8(), arrow::uint16(), arrow::uint32(), arrow::uint64(),
          arrow::float32(), arrow::float64(), arrow::utf8(), arrow::large_utf8(), arrow::binary(),
          arrow::large_binary()})
      types[leaf->ToString()] = leaf;
    return types;
  }();
  const auto found = leaves.find(type.exact);
  if (found == leaves.end())
    throw InputError("column '{}': cannot write the type {}", path, type.exact);
  return found->second;
}

[[noreturn]] void refuse(const ColumnType& type, const json& value, const std::string& path,
                         std::string_view where) {
  throw InputError("{}: key '{}': expected {}, got {}", where, path, describe(type),
                   value.type_name());
}

/// Whether an integer keeps its value in a number of this type.
bool keeps_value(const json& value, const std::string& type) {
  const bool is_large = value.is_number_unsigned() &&
                        value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (type == "uint64") return is_large || value.get<int64_t>() >= 0;
  if (is_large) return false;
  const auto number = value.get<int64_t>();
  if (type == "double" || type == "float") {
    const int digits = type == "double" ? 53 : 24;
    return number >= -(int64_t{1} << digits) && number <= int64_t{1} << digits;
  }
  const bool is_unsigned = type.starts_with("uint");
  const int bits = std::stoi(type.substr(is_unsigned ? 4 : 3));
  if (bits == 64) return true;
  const int64_t least = is_unsigned ? 0 : -(int64_t{1} << (bits - 1));
  return number >= least && number < least + (int64_t{1} << bits);
}

bool fits_leaf(const ColumnType& type, const json& value) {
  switch (type.kind) {
    case Kind::kBool:
      return value.is_boolean();
    case Kind::kInteger:
      return value.is_number_integer();
    case Kind::kFloat:
      return value.is_number();
    case Kind::kText:
      return value.is_string();
    case Kind::kBytes:
      return value.is_binary();
    default:
      return false;
  }
}

/// Of integers every width, and of texts and bytes both, have their own builder.
template <class Builder, class Value>
Status append_as(ArrayBuilder& builder, const Value& value) {
  return static_cast<Builder&>(builder).Append(value);
}

Status append_integer(ArrayBuilder& builder, const json& value) {
  const auto number = value.get<int64_t>();
  switch (builder.type()->id()) {
    case arrow::Type::INT8:
      return append_as<arrow::Int8Builder>(builder, static_cast<int8_t>(number));
    case arrow::Type::INT16:
      return append_as<arrow::Int16Builder>(builder, static_cast<int16_t>(number));
    case arrow::Type::INT32:
      return append_as<arrow::Int32Builder>(builder, static_cast<int32_t>(number));
    case arrow::Type::UINT8:
      return append_as<arrow::UInt8Builder>(builder, static_cast<uint8_t>(number));
    case arrow::Type::UINT16:
      return append_as<arrow::UInt16Builder>(builder, static_cast<uint16_t>(number));
    case arrow::Type::UINT32:
      return append_as<arrow::UInt32Builder>(builder, static_cast<uint32_t>(number));
    case arrow::Type::UINT64:
      return append_as<arrow::UInt64Builder>(builder, value.get<uint64_t>());
    default:
      return append_as<arrow::Int64Builder>(builder, number);
  }
}

Status append_bytes(ArrayBuilder& builder, std::string_view bytes) {
  switch (builder.type()->id()) {
    case arrow::Type::STRING:
      return append_as<arrow::StringBuilder>(builder, bytes);
    case arrow::Type::LARGE_STRING:
      return append_as<arrow::LargeStringBuilder>(builder, bytes);
    case arrow::Type::LARGE_BINARY:
      return append_as<arrow::LargeBinaryBuilder>(builder, bytes);
    default:
      return append_as<arrow::BinaryBuilder>(builder, bytes);
  }
}

Status append_list(ArrayBuilder& builder, const json& value) {
  auto& list = static_cast<arrow::ListBuilder&>(builder);
  ARROW_RETURN_NOT_OK(list.Append());
  for (const json& element : value)
    ARROW_RETURN_NOT_OK(append_value(*list.value_builder(), element));
  return Status::OK();
}

Status append_struct(ArrayBuilder& builder, const json& value) {
  static const json null;
  auto& fields = static_cast<arrow::StructBuilder&>(builder);
  ARROW_RETURN_NOT_OK(fields.Append());
  for (int f = 0; f < fields.num_fields(); ++f) {
    const auto member = value.find(fields.type()->field(f)->name());
    ARROW_RETURN_NOT_OK(
        append_value(*fields.field_builder(f), member == value.end() ? null : *member));
  }
  return Status::OK();
}

}  // namespace

std::shared_ptr<arrow::DataType> arrow_type(const ColumnType& type, const std::string& path) {
  if (type.kind == Kind::kList)
    return arrow::list(arrow::field("element", arrow_type(type.parts.at(0), path)));
  if (type.kind != Kind::kStruct) return leaf_type(type, path);
  if (type.parts.empty())
    throw InputError("column '{}': an object without keys has no form in Parquet", path);
  arrow::FieldVector fields;
  for (const ColumnType& part : type.parts)
    fields.push_back(arrow::field(part.name, arrow_type(part, path + "." + part.name)));
  return arrow::struct_(fields);
}

void check_value(const ColumnType& type, const json& value, const std::string& path,
                 std::string_view where, int64_t& bytes) {
  bytes += 8;
  if (value.is_null()) return;
  if (type.kind == Kind::kList && value.is_array()) {
    for (const json& element : value) check_value(type.parts.at(0), element, path, where, bytes);
  } else if (type.kind == Kind::kStruct && value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      const ColumnType* part = type.find(key);
      if (!part) throw InputError("{}: key '{}.{}' is no column of the file", where, path, key);
      check_value(*part, member, path + "." + key, where, bytes);
    }
  } else if (!fits_leaf(type, value)) {
    refuse(type, value, path, where);
  } else if (value.is_number_integer() && !keeps_value(value, type.exact)) {
    throw InputError("{}: key '{}': {} is beyond {}", where, path, value.dump(), type.exact);
  }
  if (value.is_string()) bytes += static_cast<int64_t>(value.get_ref<const std::string&>().size());
  if (value.is_binary()) bytes += static_cast<int64_t>(value.get_binary().size());
}

Status append_value(ArrayBuilder& builder, const json& value) {
  if (value.is_null()) return builder.AppendNull();
  switch (builder.type()->id()) {
    case arrow::Type::BOOL:
      return append_as<arrow::BooleanBuilder>(builder, value.get<bool>());
    case arrow::Type::FLOAT:
      return append_as<arrow::FloatBuilder>(builder, value.get<float>());
    case arrow::Type::DOUBLE:
      return append_as<arrow::DoubleBuilder>(builder, value.get<double>());
    case arrow::Type::LIST:
      return append_list(builder, value);
    case arrow::Type::STRUCT:
      return append_struct(builder, value);
    default:
      break;
  }
  if (value.is_string()) return append_bytes(builder, value.get_ref<const std::string&>());
  if (!value.is_binary()) return append_integer(builder, value);
  const auto& bytes = value.get_binary();
  return append_bytes(builder, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace caprl
