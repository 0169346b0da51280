// What a model directory holds beside its weights.
#pragma once
#include <filesystem>

namespace caprl {

/// Copies all files but weights, hidden files and subfolders.
void copy_other_files(const std::filesystem::path& source, const std::filesystem::path& dir);

}  // namespace caprl
