#include "data/row_types.h"

#include <algorithm>
#include <array>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using Kind = ColumnType::Kind;
using nlohmann::json;

bool is_beyond_int64(const json& value) {
  return value.is_number_unsigned() &&
         value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

/// Two types of numbers, or of texts or bytes.
ColumnType wider(const ColumnType& one, const ColumnType& other) {
  ColumnType wide = one.kind == Kind::kFloat ? one : other;
  switch (wide.kind) {
    case Kind::kFloat:
      wide.exact = "double";
      break;
    case Kind::kInteger:
      wide.exact = "int64";
      break;
    case Kind::kText:
      wide.exact = "large_string";
      break;
    default:
      wide.exact = "large_binary";
  }
  return wide;
}

bool is_number(const ColumnType& type) {
  return type.kind == Kind::kInteger || type.kind == Kind::kFloat;
}

}  // namespace

ColumnType type_of(const json& value, const std::string& name) {
  ColumnType type{Kind::kNull, name, "null", {}};
  const auto set = [&](Kind kind, const char* exact) {
    type.kind = kind;
    type.exact = exact;
  };
  if (value.is_boolean()) set(Kind::kBool, "bool");
  if (value.is_number_integer()) set(Kind::kInteger, is_beyond_int64(value) ? "uint64" : "int64");
  if (value.is_number_float()) set(Kind::kFloat, "double");
  if (value.is_string()) set(Kind::kText, "string");
  if (value.is_binary()) set(Kind::kBytes, "binary");
  if (value.is_object()) {
    set(Kind::kStruct, "struct");
    for (const auto& [key, member] : value.items()) type.parts.push_back(type_of(member, key));
  }
  if (value.is_array()) {
    set(Kind::kList, "list");
    type.parts.push_back({Kind::kNull, "element", "null", {}});
    for (const json& element : value)
      type.parts[0] = merge_types(type.parts[0], type_of(element, "element"), name, "in one list");
  }
  return type;
}

ColumnType merge_types(const ColumnType& earlier, const ColumnType& later, const std::string& path,
                       std::string_view where) {
  if (later.kind == Kind::kNull) return earlier;
  if (earlier.kind == Kind::kNull) return later;
  if (earlier.kind != later.kind && !(is_number(earlier) && is_number(later)))
    throw InputError("{}: key '{}': expected {} as before, got {}; a column has one type", where,
                     path, describe(earlier), describe(later));
  if (earlier.kind == Kind::kStruct) {
    ColumnType merged = earlier;
    for (const ColumnType& part : later.parts) {
      const auto found = std::ranges::find(merged.parts, part.name, &ColumnType::name);
      if (found == merged.parts.end())
        merged.parts.push_back(part);
      else
        *found = merge_types(*found, part, path + "." + part.name, where);
    }
    return merged;
  }
  if (earlier.kind == Kind::kList) {
    ColumnType merged = earlier;
    merged.exact = "list";
    merged.parts[0] = merge_types(earlier.parts[0], later.parts[0], path, where);
    return merged;
  }
  return earlier.exact == later.exact ? earlier : wider(earlier, later);
}

void add_columns(std::vector<ColumnType>& columns, const std::vector<ColumnType>& more,
                 std::string_view where) {
  for (const ColumnType& column : more) {
    const auto found = std::ranges::find(columns, column.name, &ColumnType::name);
    if (found == columns.end())
      columns.push_back(column);
    else
      *found = merge_types(*found, column, column.name, where);
  }
}

void put_in_order(std::vector<ColumnType>& columns) {
  static constexpr std::array kOrder = {"id",       "image",       "prompt",      "messages",
                                        "response", "data_source", "reward_model"};
  std::ranges::stable_sort(columns, {}, [](const ColumnType& column) {
    return std::ranges::find(kOrder, column.name) - kOrder.begin();
  });
}

}  // namespace caprl
