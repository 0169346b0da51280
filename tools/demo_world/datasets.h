// The demonstration's folder of data.
#pragma once
#include <cstdint>
#include <filesystem>

namespace caprl::demo {

struct DatasetSizes {
  int64_t train_images = 4096;
  int64_t heldout_images = 256;
  int64_t captions_per_image = 4;     // vague ones, of the training images
  int64_t answerer_captions = 24576;  // each with kExamplesPerCaption examples
  int64_t answerer_test_captions = 512;
  int64_t judged_per_image = 4;  // captions of the training images with a score
};
inline constexpr int64_t kExamplesPerCaption = 8;

/// Writes, as a pure function of sizes and seed:
///   images/{train,heldout}/000000.png, 000001.jpg, …: 56 x 56, PNG and JPEG in turn
///   train.jsonl, heldout.jsonl: rows of the CapRL-QA schema
///   train_items.jsonl, heldout_items.jsonl: the same questions as items of `caprl eval`
///   captioner_sft.jsonl: vague captions; rows of one image are consecutive
///   answerer_sft.jsonl: text only; kExamplesPerCaption consecutive rows share a caption
///   judge_sft.jsonl: captions of all qualities, and their scores from 1 to 5 by the share of what
///   they state that is true
///   answerer_test.jsonl: the same, other captions;
///   answerer_test_questions.jsonl has its rows without the responses
///   truth.jsonl: {"id", "image", "caption": the full and true one}; written last
/// Paths in rows are relative to the folder. Error if something cannot be written.
void write_datasets(const std::filesystem::path& dir, const DatasetSizes& sizes, uint64_t seed);

}  // namespace caprl::demo
