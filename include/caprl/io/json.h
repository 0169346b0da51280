// JSON from files and lines, strictly.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace caprl {

/// One JSON value. InputError "WHERE: …" for malformed text, invalid UTF-8, a key that occurs twice
/// in one object, numbers beyond double, and nesting deeper than 256 levels.
nlohmann::json parse_json(std::string_view text, std::string_view where);

/// The whole file as one JSON value; InputError names the file.
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace caprl
