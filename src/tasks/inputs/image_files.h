// The image files that names stand for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace caprl {

/// InputError unless every name is an image file, a folder, or a pattern that matches some.
void check_image_names(const std::vector<std::string>& names);

/// Writes the absolute paths to `out`, each ended by a zero byte: those of a name after those of
/// the names before it, a folder's .jpg, .jpeg, .png and .webp files and those below it in order.
/// How many. InputError as above, and for a folder without images.
int64_t list_image_files(const std::vector<std::string>& names, const std::filesystem::path& out);

}  // namespace caprl
