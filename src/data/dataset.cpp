#include "caprl/data/dataset.h"

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"

namespace caprl {
namespace {

template <class Row, class Parse>
Dataset<Row> load_rows(const std::vector<std::string>& files, BadRows bad_rows, Parse parse) {
  Dataset<Row> dataset;
  for (const std::string& file : files) {
    const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
    JsonlReader reader(file);
    while (const auto line = reader.next_text())
      dataset.num_skipped += !use_row(bad_rows, [&] {
        dataset.rows.push_back(parse(parse_json(line->text, line->where), line->where, folder));
      });
  }
  return dataset;
}

}  // namespace

bool use_row(BadRows bad_rows, const std::function<void()>& use) {
  try {
    use();
    return true;
  } catch (const InputError& error) {
    if (bad_rows == BadRows::kStop) throw;
    log_warning("row skipped: {}", error.what());
    return false;
  }
}

void DataConfig::fields(ConfigVisitor& v) {
  v.field("train_files", train_files, "JSONL files to train on");
  v.field("val_files", val_files, "JSONL files held out for evaluation");
  v.field("train_batch_size", train_batch_size, "groups (images) per step", Range{1, 1e9});
  v.field("rows_per_group", rows_per_group,
          "supervised data: this many consecutive rows form one group that reads the tokens common "
          "to their beginnings once (same gradients, less work)",
          Range{1, 1e6});
  v.field("max_prompt_length", max_prompt_length,
          "longest prompt in tokens, image tokens included; a longer one is a bad row, never cut",
          Range{1, 1e9});
  v.field("shuffle", shuffle, "a new order every epoch; false: file order");
  v.choice("bad_rows", bad_rows, {{"stop", BadRows::kStop}, {"skip", BadRows::kSkip}},
           "whether a bad row stops the run or is skipped and counted");
  v.field("prefetch", prefetch,
          "loads the next step's images during this one; takes the memory of another batch");
}

Dataset<CaptionRow> load_caption_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                      const Tokenizer& tokenizer) {
  return load_rows<CaptionRow>(files, bad_rows,
                               [&](const auto& row, std::string where, const auto& folder) {
                                 return parse_caption_row(row, std::move(where), folder, tokenizer);
                               });
}

Dataset<ImageRow> load_image_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                  const Tokenizer& tokenizer,
                                  const std::vector<ChatMessage>& prompt) {
  return load_rows<ImageRow>(
      files, bad_rows, [&](const auto& row, std::string where, const auto& folder) {
        return parse_image_row(row, std::move(where), folder, tokenizer, prompt);
      });
}

Dataset<SftRow> load_sft_rows(const std::vector<std::string>& files, BadRows bad_rows,
                              const Tokenizer& tokenizer) {
  return load_rows<SftRow>(files, bad_rows,
                           [&](const auto& row, std::string where, const auto& folder) {
                             return parse_sft_row(row, std::move(where), folder, tokenizer);
                           });
}

}  // namespace caprl
