// Values of Arrow's arrays as JSON.
#pragma once
#include <arrow/array.h>

#include <nlohmann/json.hpp>
#include <string>

namespace caprl {

/// Value `i` of the array. InputError "column 'PATH': …" for text that is no UTF-8.
nlohmann::json to_json(const arrow::Array& array, int64_t i, const std::string& path);

}  // namespace caprl
