// The images that `caprl caption` is asked for.
#pragma once
#include <vector>

#include "caprl/data/rows.h"
#include "caprl/tasks/caption.h"

namespace caprl {

struct RowsToCaption {
  std::vector<ImageRow> rows;  // all shards'
  int64_t num_skipped = 0;     // bad ones
};

/// Rows of the files, then the images; a folder's in the order of their names.
RowsToCaption load_rows_to_caption(const CaptionDataConfig& config, const Tokenizer& tokenizer);

}  // namespace caprl
