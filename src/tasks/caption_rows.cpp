#include "tasks/caption_rows.h"

#include <algorithm>
#include <cctype>

#include "caprl/core/error.h"

namespace caprl {
namespace {

bool is_image_name(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png" || suffix == ".webp";
}

std::vector<std::filesystem::path> image_files(const std::string& name) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(name);
  if (std::filesystem::is_regular_file(path, error)) return {path};
  if (!std::filesystem::is_directory(path, error))
    throw InputError("config: 'data.images': {}: no such file or folder", name);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file() && is_image_name(entry.path())) files.push_back(entry.path());
  if (files.empty())
    throw InputError("config: 'data.images': {} holds no .jpg, .jpeg, .png or .webp file", name);
  std::sort(files.begin(), files.end());
  return files;
}

ImageRow row_of(const std::filesystem::path& file, const std::vector<ChatMessage>& prompt) {
  ImageRow row;
  row.id = row.where = file.string();
  row.prompt = prompt;
  row.image.path = file;
  row.image.name = fmt::format("image {}", file.string());
  return row;
}

}  // namespace

RowsToCaption load_rows_to_caption(const CaptionDataConfig& config, const Tokenizer& tokenizer) {
  if (const auto token = tokenizer.find_added_token(config.prompt))
    throw InputError("config: 'data.prompt': contains the reserved token '{}'; expected plain text",
                     *token);
  const std::vector<ChatMessage> prompt = {
      {"user", {{ChatPart::Kind::kImage, {}}, {ChatPart::Kind::kText, config.prompt}}}};
  RowsToCaption result;
  auto loaded = load_image_rows(config.files, config.bad_rows, tokenizer, prompt);
  result.rows = std::move(loaded.rows);
  result.num_skipped = loaded.num_skipped;
  for (const std::string& name : config.images)
    for (const auto& file : image_files(name)) result.rows.push_back(row_of(file, prompt));
  return result;
}

}  // namespace caprl
