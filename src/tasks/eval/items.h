// The items of a benchmark: an image, a question about it, and what is right.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "caprl/data/rows.h"
#include "caprl/tasks/eval.h"
#include "tasks/scorers/scorer.h"

namespace caprl {

struct EvalItem {
  int64_t index = 0;  // of all rows of the data
  std::string id, benchmark;
  ImageRow image;        // with the captioner's prompt
  std::string question;  // as it is asked, with its options
  Expected expected;
  std::vector<std::string> scorers;  // the best one counts
};

struct EvalItems {
  std::vector<EvalItem> items;
  int64_t num_bad = 0;  // rows that are none
};

/// One item of the generic form (docs/EVAL.md). `benchmark`: that of items that name none.
/// `image`: where the file keeps it apart from the item. InputError "WHERE: …".
EvalItem parse_item(const nlohmann::json& item, const std::string& where,
                    const std::filesystem::path& folder, const std::string& benchmark,
                    const Tokenizer& tokenizer, const std::vector<ChatMessage>& prompt,
                    const StoredImage& image);

/// Every file's items. Ids are unique within a benchmark. Bad rows as data.bad_rows says; a file
/// that cannot be read, or has no items, is an InputError either way.
EvalItems load_items(const EvalDataConfig& config, const Tokenizer& tokenizer);

}  // namespace caprl
