// The page's source (src/tasks/report/page/) with a run's data in it.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace caprl {

/// Bytes that a part of the data takes in the page.
int64_t size_of(const nlohmann::json& value);

std::string make_page(const nlohmann::json& data);

}  // namespace caprl
