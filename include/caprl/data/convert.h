// Data files from JSONL to Parquet and back.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "caprl/data/dataset.h"
#include "caprl/io/parquet.h"

namespace caprl {

/// kLlava: conversations, of which each answer becomes a row of supervised training; kCaptions:
/// what `caprl caption` writes, of which each caption becomes one.
enum class RowForm { kAsIs, kLlava, kCaptions };

struct ConvertOptions {
  RowForm form = RowForm::kAsIs;
  std::string caption_prompt = "Describe this image in detail.";  // of kCaptions
  bool embed_images = false;  // reads images at paths into image.bytes
  BadRows bad_rows = BadRows::kStop;
  ParquetLayout layout;
};

struct ConvertCounts {
  int64_t rows = 0, skipped = 0;  // written, and passed over
};

/// All rows of the files, JSONL or Parquet, in one file: Parquet if `out` ends in ".parquet", JSONL
/// otherwise. Every key and value is kept; a key that is null and one that is absent are the same,
/// and "image": "path" is "image": {"path": "path"}. Paths of images that are relative name the
/// same files from `out`'s folder. `out` appears when it is whole. InputError if a row cannot be
/// read, or values of one key are of different types.
ConvertCounts convert_data(const std::vector<std::string>& files, const std::filesystem::path& out,
                           const ConvertOptions& options);

}  // namespace caprl
