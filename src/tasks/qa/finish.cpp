#include "tasks/qa/finish.h"

#include <nlohmann/json.hpp>

#include "caprl/core/files.h"
#include "tasks/image_record.h"
#include "tasks/qa/filter.h"
#include "tasks/rows_writer.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

double share(const json& counts) {
  return counts.at("right").get<double>() / counts.at("asked").get<double>();
}

std::string ratio(const json& counts) {
  return fmt::format("{}/{}", counts.at("right").get<int64_t>(), counts.at("asked").get<int64_t>());
}

std::vector<ColumnType> columns() {
  return {text_column("id"), image_column(),
          list_column("prompt", struct_column("", {text_column("role"), text_column("content")})),
          text_column("data_source"),
          struct_column("reward_model",
                        {list_column("ground_truth",
                                     struct_column("", {text_column("question"),
                                                        list_column("choices", text_column("")),
                                                        text_column("answer")}))})};
}

class Finish {
 public:
  explicit Finish(const QaRun& run)
      : run_(run),
        config_(run.config),
        stream_(run.inputs),
        dropped_(RowsWriter::jsonl(run.dir() / "dropped.jsonl")) {
    const bool is_parquet = config_.output.format == QaFormat::kParquet;
    const fs::path file = run.dir() / (is_parquet ? "questions.parquet" : "questions.jsonl");
    rows_ = is_parquet ? RowsWriter::parquet(file, columns()) : RowsWriter::jsonl(file);
    result_.output = file.string();
  }

  QaResult run() {
    result_.items = run_.inputs.size();
    result_.duplicates = run_.inputs.num_duplicates();
    RecordMerge records(records_files(run_.dir(), kAnswered), run_.inputs.size());
    int64_t found = 0;
    for (; const auto record = records.next(); ++found) use(*record);
    if (found + result_.duplicates != result_.items)
      throw Error("{}: expected {} items in answered*.jsonl, got {}", run_.dir().string(),
                  result_.items - result_.duplicates, found);
    rows_->commit();
    dropped_->commit();
    return result_;
  }

 private:
  void use(const Record& record) {
    const json& value = record.value;
    if (value.contains("error")) {
      ++result_.unusable;
      return drop(value, "image", nullptr, "unusable", value["error"]);
    }
    try {
      ++result_.responses;
      result_.truncated_responses += value.at("truncated").get<bool>();
      for (const json& malformed : value.at("malformed")) {
        ++result_.found;
        ++result_.dropped["malformed"];
        drop(value, "extract", malformed.at("text"), "malformed", malformed.at("reason"));
      }
      json kept = json::array();
      for (const json& question : value.at("questions")) filter(value, question, kept);
      if (!kept.empty()) write(record, std::move(kept));
    } catch (const json::exception& error) {
      throw InputError("{}: expected an answered item: {}", record.where, error.what());
    }
  }

  void filter(const json& item, const json& question, json& kept) {
    ++result_.found;
    ++result_.extracted;
    for (const auto& [branch, accuracy] :
         {std::pair("visual", &result_.visual_accuracy), {"text", &result_.text_accuracy}}) {
      const json& counts = question.at(branch);
      result_.answers += counts.at("asked").get<int64_t>();
      result_.unread_answers += counts.at("unread").get<int64_t>();
      if (counts.at("asked") != 0) ++(*accuracy)[ratio(counts)];
    }
    if (const std::string reason = drop_reason(question, config_.filter); !reason.empty()) {
      ++result_.dropped[reason];
      return drop(item, "filter", question.at("question"), reason,
                  fmt::format("{} right with the image, {} without", ratio(question.at("visual")),
                              ratio(question.at("text"))));
    }
    ++result_.kept;
    ++result_.answer_letters[question.at("answer").get<std::string>()];
    kept.push_back({{"question", question.at("question")},
                    {"choices", question.at("choices")},
                    {"answer", question.at("answer")}});
  }

  void drop(const json& item, const char* stage, const json& question, const std::string& reason,
            const json& why) {
    json line = {{"index", item.at("index")},
                 {"id", item.at("id")},
                 {"stage", stage},
                 {"reason", reason},
                 {"why", why}};
    if (!question.is_null()) line["question"] = question;
    dropped_->append(line, {});
  }

  void write(const Record& record, json questions) {
    const auto item = stream_.next([&](int64_t index) { return index == record.index; });
    if (!item || !item->error.empty())
      throw InputError("{}: the data has changed beneath the run: {}", record.where,
                       item ? item->error : "the item is gone");
    ++result_.images_kept;
    rows_->append(
        {{"id", item->row.id},
         {"image", image_record(item->row.image, config_.output.embed_images)},
         {"prompt", json::array({{{"role", "user"}, {"content", config_.output.prompt}}})},
         {"data_source", config_.output.data_source},
         {"reward_model", {{"ground_truth", std::move(questions)}}}},
        record.where);
  }

  const QaRun& run_;
  const QaConfig& config_;
  InputStream stream_;
  QaResult result_;
  std::unique_ptr<RowsWriter> rows_, dropped_;
};

}  // namespace

std::string drop_reason(const json& question, const QaFilterConfig& config) {
  const json &visual = question.at("visual"), &text = question.at("text");
  if (visual.at("asked") == 0 || text.at("asked") == 0) return "not_asked";
  if (config.min_visual_accuracy && share(visual) <= *config.min_visual_accuracy)
    return "not_visible";
  if (config.max_text_accuracy && share(text) >= *config.max_text_accuracy) return "guessable";
  return {};
}

QaResult finish_questions(const QaRun& run) {
  const QaResult result = Finish(run).run();
  write_file_atomic(run.dir() / "result.json", result_json(result).dump(2) + "\n");
  return result;
}

}  // namespace caprl
