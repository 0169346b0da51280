#include "tasks/eval/records.h"

#include "caprl/core/error.h"
#include "tasks/records.h"

namespace caprl {
namespace {

using nlohmann::json;

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

std::map<int64_t, ItemRecord> read_records(const std::filesystem::path& dir,
                                           const std::vector<EvalItem>& items) {
  std::map<int64_t, ItemRecord> records;
  for_each_record(records_files(dir, kItemRecords), std::ssize(items), [&](const Record& line) {
    try {
      const std::string id = line.value.at("id").get<std::string>();
      if (items[line.index].id != id)
        throw InputError(
            "{}: item {} with id '{}' is not in the data, which must be what the run began with",
            line.where, line.index, id);
      records[line.index] = record_of(line.value);
    } catch (const json::exception& error) {
      throw InputError("{}: expected an evaluated item: {}", line.where, error.what());
    }
  });
  return records;
}

}  // namespace caprl
