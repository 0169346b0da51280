#include "caprl/data/dataset.h"

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/data/reader.h"

namespace caprl {
namespace {

/// parse(row, where, folder, image apart from the row)
template <class Row, class Parse>
Dataset<Row> load_rows(const std::vector<std::string>& names, RowKind kind, BadRows bad_rows,
                       Parse parse) {
  Dataset<Row> dataset;
  for (const std::string& file : expand_data_files(names)) {
    const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
    const auto reader = DataReader::open(file, kind);
    while (const auto place = reader->next()) {
      const bool used = use_row(bad_rows, [&] {
        dataset.rows.push_back(parse(reader->row(), place->where, folder, place->image));
      });
      if (!used) dataset.num_skipped += place->count;
    }
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
  v.field("train_files", train_files,
          "JSONL and Parquet files to train on, and patterns of them: shards/*.parquet");
  v.field("val_files", val_files, "the same, held out for evaluation");
  v.field("train_batch_size", train_batch_size, "groups (images) per step", Range{1, 1e9});
  v.field("rows_per_group", rows_per_group,
          "supervised data: this many consecutive rows form one group that reads the tokens common "
          "to their beginnings once (same gradients, less work)",
          Range{1, 1e6});
  v.field("questions_per_image", questions_per_image,
          "uses the first so many questions of each image to train on; 0: all", Range{0, 1e6});
  v.field("max_prompt_length", max_prompt_length,
          "longest prompt in tokens, image tokens included; a longer one is a bad row, never cut",
          Range{1, 1e9});
  v.field("shuffle", shuffle, "a new order every epoch; false: file order");
  v.choice("bad_rows", bad_rows, {{"stop", BadRows::kStop}, {"skip", BadRows::kSkip}},
           "whether a bad row stops the run or is skipped and counted (docs/DATA.md)");
  v.field("prefetch", prefetch,
          "loads the next step's images during this one; takes the memory of another batch");
}

void SeenIds::add(const std::string& id, const std::string& where) {
  const auto [seen, is_new] = places_.try_emplace(id, where);
  if (!is_new)
    throw InputError("{}: the id '{}' occurs a second time; the first is at {}", where, id,
                     seen->second);
}

Dataset<CaptionRow> load_caption_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                      const Tokenizer& tokenizer, int64_t most_questions) {
  SeenIds ids;
  return load_rows<CaptionRow>(
      files, RowKind::kCaption, bad_rows,
      [&](const auto& row, const std::string& where, const auto& folder, const auto& image) {
        CaptionRow parsed = parse_caption_row(row, where, folder, tokenizer, image);
        const auto count = static_cast<int64_t>(parsed.questions.size());
        if (most_questions > 0 && count > most_questions)
          parsed.questions.erase(parsed.questions.begin() + most_questions, parsed.questions.end());
        ids.add(parsed.id, where);
        return parsed;
      });
}

Dataset<ImageRow> load_image_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                  const Tokenizer& tokenizer,
                                  const std::vector<ChatMessage>& prompt) {
  return load_rows<ImageRow>(
      files, RowKind::kImage, bad_rows,
      [&](const auto& row, const std::string& where, const auto& folder, const auto& image) {
        return parse_image_row(row, where, folder, tokenizer, prompt, image);
      });
}

Dataset<SftRow> load_sft_rows(const std::vector<std::string>& files, BadRows bad_rows,
                              const Tokenizer& tokenizer) {
  return load_rows<SftRow>(
      files, RowKind::kSft, bad_rows,
      [&](const auto& row, const std::string& where, const auto& folder, const auto& image) {
        return parse_sft_row(row, where, folder, tokenizer, image);
      });
}

}  // namespace caprl
