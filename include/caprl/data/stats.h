// What is in data files.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

/// Counts of rows, ids, images and their sizes, questions, options and answers. Rows and images
/// that cannot be read are counted as such.
nlohmann::ordered_json data_stats(const std::vector<std::string>& files);

}  // namespace caprl
