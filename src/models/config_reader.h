// Typed, checked access to a Hugging Face config.json.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/error.h"

namespace caprl {

/// One object of a config file. null counts as absent. Every error is an InputError "FILE: KEY.PATH
/// …". The JSON must outlive this.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, std::string file, std::string path = {});

  bool has(std::string_view key) const;
  bool is_null(std::string_view key) const;  // written, as null
  /// 1 … max.
  int64_t positive(std::string_view key, int64_t max) const;
  int64_t positive_or(std::string_view key, int64_t fallback, int64_t max) const;
  int64_t id_or(std::string_view key, int64_t fallback) const;  // ≥ 0
  double positive_number(std::string_view key) const;
  double positive_number_or(std::string_view key, double fallback) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string fallback) const;
  std::vector<int64_t> integers_or(std::string_view key, std::vector<int64_t> fallback) const;
  std::vector<std::string> strings_or(std::string_view key,
                                      std::vector<std::string> fallback) const;
  /// One integer or a list of them; empty if absent.
  std::vector<int64_t> integer_list(std::string_view key) const;
  std::optional<ConfigReader> section(std::string_view key) const;

  template <class... Args>
  [[noreturn]] void fail(std::string_view key, fmt::format_string<Args...> format,
                         Args&&... args) const {
    fail_with(key, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const nlohmann::json* find(std::string_view key) const;  // null pointer if absent
  [[noreturn]] void fail_with(std::string_view key, const std::string& message) const;
  [[noreturn]] void expected(std::string_view key, std::string_view what) const;

  const nlohmann::json* object_;
  std::string file_, path_;
};

}  // namespace caprl
