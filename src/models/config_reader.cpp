#include "config_reader.h"

#include <cmath>

namespace caprl {
namespace {

bool is_integer(const nlohmann::json& value) {
  // Unsigned numbers above the signed range would turn negative.
  return value.is_number_integer() &&
         (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
}

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& object, std::string file, std::string path)
    : object_(&object), file_(std::move(file)), path_(std::move(path)) {
  if (!object.is_object())
    throw InputError("{}: expected {} to be an object, got {}", file_,
                     path_.empty() ? "the file" : path_, object.type_name());
}

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  const auto it = object_->find(key);
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

bool ConfigReader::has(std::string_view key) const { return find(key) != nullptr; }

bool ConfigReader::is_null(std::string_view key) const {
  const auto it = object_->find(key);
  return it != object_->end() && it->is_null();
}

void ConfigReader::fail_with(std::string_view key, const std::string& message) const {
  throw InputError("{}: {}{}{} {}", file_, path_, path_.empty() ? "" : ".", key, message);
}

void ConfigReader::expected(std::string_view key, std::string_view what) const {
  const nlohmann::json* value = find(key);
  if (!value) fail(key, "is missing; expected {}", what);
  std::string got = value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (got.size() > 60) got = got.substr(0, 57) + "...";
  fail(key, "must be {}, got {}", what, got);
}

int64_t ConfigReader::positive(std::string_view key, int64_t max) const {
  const nlohmann::json* value = find(key);
  if (!value || !is_integer(*value) || value->get<int64_t>() < 1 || value->get<int64_t>() > max)
    expected(key, fmt::format("an integer from 1 to {}", max));
  return value->get<int64_t>();
}

int64_t ConfigReader::positive_or(std::string_view key, int64_t fallback, int64_t max) const {
  return has(key) ? positive(key, max) : fallback;
}

int64_t ConfigReader::id_or(std::string_view key, int64_t fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!is_integer(*value) || value->get<int64_t>() < 0) expected(key, "a token id");
  return value->get<int64_t>();
}

double ConfigReader::positive_number(std::string_view key) const {
  if (!has(key)) expected(key, "a positive number");
  return positive_number_or(key, 0.0);
}

double ConfigReader::number_or(std::string_view key, double fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number()) expected(key, "a number");
  return value->get<double>();
}

double ConfigReader::positive_number_or(std::string_view key, double fallback) const {
  const double value = number_or(key, fallback);
  if (!(value > 0) || !std::isfinite(value)) expected(key, "a positive number");
  return value;
}

bool ConfigReader::boolean_or(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) expected(key, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::string_or(std::string_view key, std::string fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_string()) expected(key, "a string");
  return value->get<std::string>();
}

std::vector<int64_t> ConfigReader::integers_or(std::string_view key,
                                               std::vector<int64_t> fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  std::vector<int64_t> integers;
  if (!value->is_array()) expected(key, "a list of integers");
  for (const auto& item : *value) {
    if (!is_integer(item)) expected(key, "a list of integers");
    integers.push_back(item.get<int64_t>());
  }
  return integers;
}

std::vector<std::string> ConfigReader::strings_or(std::string_view key,
                                                  std::vector<std::string> fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  std::vector<std::string> strings;
  if (!value->is_array()) expected(key, "a list of strings");
  for (const auto& item : *value) {
    if (!item.is_string()) expected(key, "a list of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::vector<int64_t> ConfigReader::integer_list(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_array()) {
    if (!is_integer(*value)) expected(key, "an integer or a list of integers");
    return {value->get<int64_t>()};
  }
  return integers_or(key, {});
}

std::optional<ConfigReader> ConfigReader::section(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  return ConfigReader(*value, file_,
                      path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
}

}  // namespace caprl
