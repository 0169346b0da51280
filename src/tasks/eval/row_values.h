// Values in rows of published benchmarks. InputErrors name the key, not the place.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

struct FileSource;

namespace published {

/// Not null.
const nlohmann::json& member(const nlohmann::json& row, const char* key);
/// A text, or a number as it is written.
std::string text(const nlohmann::json& row, const char* key);
const nlohmann::json& list(const nlohmann::json& row, const char* key);
std::vector<std::string> texts(const nlohmann::json& values, const char* key);

/// Options with labels, so that a letter means the label whatever they are.
nlohmann::json labelled(const std::vector<std::string>& options);

/// "['a', "b"]", as Python prints a list of texts; any other text by itself.
nlohmann::json python_list(const std::string& printed);
/// A list, also where it is printed as a text.
std::vector<std::string> listed(const nlohmann::json& row, const char* key);

/// A path is looked for below these folders. The image itself, as Parquet files have it, stays.
nlohmann::json image_of(const nlohmann::json& row, const char* key, const FileSource& source,
                        const std::vector<std::string>& folders = {""});

}  // namespace published
}  // namespace caprl
