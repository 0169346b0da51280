// What JSON can hold.
#pragma once
#include <nlohmann/json.hpp>

namespace caprl {

/// Whether all texts in the value are UTF-8.
inline bool is_utf8(const nlohmann::json& value) {
  try {
    static_cast<void>(value.dump());
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace caprl
