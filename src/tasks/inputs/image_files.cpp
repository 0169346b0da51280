#include "tasks/inputs/image_files.h"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "caprl/core/error.h"
#include "caprl/data/reader.h"
#include "tasks/inputs/path_sorter.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  std::string suffix = path.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png" || suffix == ".webp";
}

/// Names of files and folders; patterns are replaced by what they match.
std::vector<std::string> expand(const std::vector<std::string>& names) {
  const auto expanded = at_place("config: 'data.images'", [&] { return expand_data_files(names); });
  for (const std::string& name : expanded) {
    std::error_code error;
    if (!fs::is_regular_file(name, error) && !fs::is_directory(name, error))
      throw InputError("config: 'data.images': {}: no such file or folder", name);
  }
  return expanded;
}

void add_folder(const fs::path& folder, PathSorter& paths) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error), end;
  bool found = false;
  for (; !error && entry != end; entry.increment(error)) {
    std::error_code unknown;
    if (!entry->is_regular_file(unknown) || !is_image_name(entry->path())) continue;
    paths.add(entry->path().string());
    found = true;
  }
  if (error)
    throw InputError("config: 'data.images': {}: the folder cannot be read: {}", folder.string(),
                     error.message());
  if (!found)
    throw InputError("config: 'data.images': {} holds no .jpg, .jpeg, .png or .webp file",
                     folder.string());
}

}  // namespace

void check_image_names(const std::vector<std::string>& names) { expand(names); }

int64_t list_image_files(const std::vector<std::string>& names, const fs::path& out) {
  std::ofstream(out, std::ios::binary | std::ios::trunc).close();
  int64_t count = 0;
  for (const std::string& name : expand(names)) {
    PathSorter paths(out.string() + ".sort");
    const fs::path path = fs::absolute(name);
    if (fs::is_directory(path))
      add_folder(path, paths);
    else
      paths.add(path.string());
    count += paths.append_to(out);
  }
  return count;
}

}  // namespace caprl
