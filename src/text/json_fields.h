// Fields of JSON objects with errors that name the file and the path to the field.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "caprl/core/error.h"

namespace caprl {

/// A JSON value and where it stands: "DIR/tokenizer.json: model.vocab".
struct JsonPlace {
  const nlohmann::json* value = nullptr;
  std::string where;

  /// The member, null if it is absent or the value is no object.
  JsonPlace member(std::string_view key) const;
  JsonPlace element(size_t index) const;
  bool is_absent() const { return value->is_null(); }

  /// InputError if the value is something else.
  const nlohmann::json::object_t& object() const;
  const nlohmann::json::array_t& array() const;
  const std::string& string() const;
  int64_t integer() const;
  bool boolean_or(bool absent) const;
};

}  // namespace caprl
