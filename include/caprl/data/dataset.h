// Data files read and checked before the run starts, and the order in which steps use their rows.
// Images embedded in Parquet files stay there until a step uses them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/core/philox.h"
#include "caprl/data/rows.h"

namespace caprl {

enum class BadRows { kStop, kSkip };

/// Calls `use`. What to do with its InputError: kStop: it goes on; kSkip: it is logged and the
/// answer is false.
bool use_row(BadRows bad_rows, const std::function<void()>& use);

/// Section `data` of `caprl train` and `caprl sft`.
struct DataConfig {
  std::vector<std::string> train_files;
  std::vector<std::string> val_files;
  int64_t train_batch_size = 128;
  int64_t rows_per_group = 1;
  int64_t questions_per_image = 0;
  int64_t max_prompt_length = 4096;
  bool shuffle = true;
  BadRows bad_rows = BadRows::kStop;
  bool prefetch = true;
  void fields(ConfigVisitor& v);
};

/// Ids seen so far.
class SeenIds {
 public:
  /// InputError naming both places if the id was there before.
  void add(const std::string& id, const std::string& where);

 private:
  std::unordered_map<std::string, std::string> places_;
};

template <class Row>
struct Dataset {
  std::vector<Row> rows;
  int64_t num_skipped = 0;  // bad rows left out under BadRows::kSkip
};

/// JSONL and Parquet files and patterns of them, in order. kStop: the first bad row is an
/// InputError that says where; kSkip: it is logged and counted. A file that cannot be read, has no
/// rows or lacks a column is an InputError either way. Of caption rows one whose id was there
/// before is bad; of more than `most_questions` questions the first ones are kept (0: all).
Dataset<CaptionRow> load_caption_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                      const Tokenizer& tokenizer, int64_t most_questions = 0);
/// `prompt`: see parse_image_row.
Dataset<ImageRow> load_image_rows(const std::vector<std::string>& files, BadRows bad_rows,
                                  const Tokenizer& tokenizer,
                                  const std::vector<ChatMessage>& prompt);
Dataset<SftRow> load_sft_rows(const std::vector<std::string>& files, BadRows bad_rows,
                              const Tokenizer& tokenizer);

/// Which items step s uses: consecutive places of an endless sequence of epochs, each a permutation
/// of its own (or file order). A pure function of (seed, step), so a resumed run continues where it
/// stopped.
class DataOrder {
 public:
  DataOrder(int64_t num_items, int64_t batch_size, bool shuffle, uint64_t seed);
  struct Item {
    int64_t index;  // into the dataset
    int64_t place;  // in the endless sequence; unique over the run
  };
  /// step ≥ 1 → batch_size items.
  std::vector<Item> step(int64_t step) const;
  /// Passes over the data after `step` steps.
  double epochs(int64_t step) const;

 private:
  int64_t num_items_, batch_size_;
  bool shuffle_;
  uint64_t seed_;
};

}  // namespace caprl
