#include "tasks/inputs/inputs.h"

#include <fstream>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"
#include "tasks/inputs/duplicates.h"
#include "tasks/inputs/image_files.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What the item is called, for finding it a second time; empty: it has no name.
std::string key_of(const InputItem& item, DuplicateKey kind) {
  if (!item.error.empty()) return {};
  if (kind == DuplicateKey::kContent) {
    try {
      const SharedBytes content = file_content(item.row.image);
      return "content:" + hash_bytes(content.bytes);
    } catch (const InputError&) {
      return {};  // said when it is its turn
    }
  }
  const bool has_id = item.value.contains("id") && !item.value["id"].is_null();
  if (has_id) return "id:" + item.row.id;
  const fs::path& path = item.row.image.path;
  return path.empty() ? std::string() : "path:" + path.lexically_normal().string();
}

}  // namespace

std::vector<ChatMessage> image_prompt(const std::string& text, const Tokenizer& tokenizer,
                                      std::string_view key) {
  if (const auto token = tokenizer.find_added_token(text))
    throw InputError("config: '{}': contains the reserved token '{}'; expected plain text", key,
                     *token);
  return {{"user", {{ChatPart::Kind::kImage, {}}, {ChatPart::Kind::kText, text}}}};
}

Inputs::Inputs(InputSpec spec, const fs::path& dir, const std::string& stem)
    : spec_(std::move(spec)), dir_(dir), stem_(stem) {
  if (!fs::exists(part(".json"))) try {
      scan();
    } catch (...) {
      std::error_code ignored;
      for (const char* suffix : {".images", ".duplicates.jsonl"}) fs::remove(part(suffix), ignored);
      throw;
    }
  load();
}

fs::path Inputs::part(const char* suffix) const { return dir_ / (stem_ + suffix); }

void Inputs::scan() {
  num_images_ = list_image_files(spec_.images, part(".images"));
  sync_path(part(".images"));
  for (const std::string& file : expand_data_files(spec_.files)) {
    std::error_code error;
    const auto bytes = fs::file_size(file, error);
    if (error) throw InputError("{}: cannot read: {}", file, error.message());
    sources_.push_back({file, static_cast<int64_t>(bytes)});
  }
  DuplicateFinder keys(unfinished_path(part(".keys")));
  int64_t num_bad = 0;
  InputStream items(*this);
  while (const auto item = items.next([](int64_t) { return true; })) {
    if (!item->error.empty() && spec_.bad_rows == BadRows::kStop)
      throw InputError("{}", item->error);
    num_bad += !item->error.empty();
    ++size_;
    if (const std::string key = key_of(*item, spec_.duplicates); !key.empty())
      keys.add(item->index, key, item->where);
  }
  write_manifest(keys, num_bad);
}

/// Duplicates, then the manifest proper, by which the rest is whole.
void Inputs::write_manifest(DuplicateFinder& keys, int64_t num_bad) {
  const int64_t num_rows = size_ - num_images_;
  int64_t num_duplicates = 0;
  fs::remove(part(".duplicates.jsonl"));
  JsonlAppender duplicates(part(".duplicates.jsonl"));
  keys.find([&](const Duplicate& duplicate) {
    const bool is_fault = spec_.duplicates == DuplicateKey::kName && duplicate.index < num_rows;
    if (is_fault && spec_.bad_rows == BadRows::kStop)
      throw InputError("{}: the same item as {}; expected each once", duplicate.where,
                       duplicate.first_where);
    duplicates.append({{"index", duplicate.index},
                       {"where", duplicate.where},
                       {"first", duplicate.first},
                       {"first_where", duplicate.first_where}});
    ++num_duplicates;
  });
  sync_path(part(".duplicates.jsonl"));
  json manifest = {{"files", json::array()},
                   {"images", num_images_},
                   {"items", size_},
                   {"bad_rows", num_bad},
                   {"duplicates", num_duplicates}};
  for (const Source& source : sources_)
    manifest["files"].push_back({{"file", source.file}, {"bytes", source.bytes}});
  write_file_atomic(part(".json"), manifest.dump(2) + "\n");
  log_info("{} items: {} rows of {} files, {} image files; {} bad rows, {} duplicates", size_,
           num_rows, sources_.size(), num_images_, num_bad, num_duplicates);
}

void Inputs::load() {
  const fs::path file = part(".json");
  const json manifest = read_json(file);
  try {
    sources_.clear();
    for (const json& source : manifest.at("files"))
      sources_.push_back({source.at("file").get<std::string>(), source.at("bytes").get<int64_t>()});
    num_images_ = manifest.at("images").get<int64_t>();
    size_ = manifest.at("items").get<int64_t>();
  } catch (const json::exception& error) {
    throw InputError("{}: expected the manifest of a run: {}", file.string(), error.what());
  }
  for (const Source& source : sources_) {
    std::error_code error;
    const auto bytes = fs::file_size(source.file, error);
    if (error || static_cast<int64_t>(bytes) != source.bytes)
      throw InputError("{}: expected {} bytes, as when the run began ({}), got {}", source.file,
                       source.bytes, file.string(),
                       error ? error.message() : fmt::format("{}", bytes));
  }
  if (fs::file_size(part(".duplicates.jsonl")) == 0) return;
  JsonlReader lines(part(".duplicates.jsonl"));
  while (const auto line = lines.next()) duplicates_.insert(line->value.at("index").get<int64_t>());
}

}  // namespace caprl
