// `caprl data inspect`: what a data file looks like.
#pragma once
#include <cstdint>
#include <filesystem>

namespace caprl {

/// Schema, row groups and the first rows, to stdout.
void inspect_data(const std::filesystem::path& file, int64_t num_rows);

}  // namespace caprl
