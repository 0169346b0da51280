#include "tasks/eval/records.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"

namespace caprl {
namespace {

using nlohmann::json;

std::vector<std::filesystem::path> all_files(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (name == "items.jsonl" || (name.starts_with("items-") && name.ends_with(".jsonl")))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool is_truncated(const json& text) { return text.at("finish_reason") == "length"; }

ItemRecord record_of(const json& line) {
  ItemRecord record;
  record.is_skipped = line.contains("error");
  if (record.is_skipped) return record;
  for (const json& sample : line.at("samples")) {
    ++record.captions;
    record.truncated_captions += is_truncated(sample.at("caption"));
    record.caption_tokens += sample.at("caption").at("num_tokens").get<int64_t>();
    if (sample.at("score").is_null()) continue;
    ++record.answers;
    record.truncated_answers += is_truncated(sample.at("output"));
    record.unread_answers += sample.at("answer").is_null();
    record.scores.push_back(sample.at("score").get<double>());
  }
  return record;
}

}  // namespace

std::filesystem::path records_file(const std::filesystem::path& dir, int rank, int size) {
  return dir / (size == 1 ? "items.jsonl" : fmt::format("items-{:05}-of-{:05}.jsonl", rank, size));
}

void repair_records(const std::filesystem::path& dir) {
  for (const auto& file : all_files(dir)) JsonlAppender appender(file);
}

std::map<int64_t, ItemRecord> read_records(const std::filesystem::path& dir,
                                           const std::vector<EvalItem>& items) {
  std::map<int64_t, ItemRecord> records;
  for (const auto& file : all_files(dir)) {
    if (std::filesystem::file_size(file) == 0) continue;
    JsonlReader reader(file);
    while (const auto line = reader.next()) {
      const std::string where = fmt::format("{}:{}", file.string(), line->number);
      try {
        const int64_t index = line->value.at("index").get<int64_t>();
        const std::string id = line->value.at("id").get<std::string>();
        if (index < 0 || index >= std::ssize(items) || items[index].id != id)
          throw InputError(
              "{}: item {} with id '{}' is not in the data, which must be what the run began with",
              where, index, id);
        records[index] = record_of(line->value);
      } catch (const json::exception& error) {
        throw InputError("{}: expected an evaluated item: {}", where, error.what());
      }
    }
  }
  return records;
}

}  // namespace caprl
