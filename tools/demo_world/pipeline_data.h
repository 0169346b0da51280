// What the whole pipeline (tools/demo --full) needs beyond the demonstration's folder of data.
#pragma once
#include <cstdint>
#include <filesystem>

namespace caprl::demo {

struct PipelineSizes {
  int64_t taught_images = 2048;  // the first training images: curator and rater learn from them
  int64_t rows_per_image = 8;    // for either of the two
  int64_t answerer_captions = 6400;
  int64_t pool_images = 1024;  // that questions are written about
  int64_t annotated_images = 4096;
};

/// Adds to the folder of write_datasets(), as a pure function of sizes and seed:
///   images/{pool,annotate}/…
///   curator_sft.jsonl: questions and their answers in a word, of the training images; "unknown"
///   where the image is not shown, unless the question tells its answer
///   rater_sft.jsonl: captions and scores from 1 to 5 for what they truly say of all there is to
///   say
///   told_sft.jsonl: an answerer's rows, half of whose questions tell an answer, which counts where
///   the caption gives none
///   pool.jsonl: {"id", "image", "qa_response": eight questions as a careless writer asks them}
///   annotate.jsonl: {"id", "image", "prompt"}
///   pool_flaws.jsonl: {"id", "questions": [{"question", "flaw": a word}]}; written last
/// InputError if the folder has fewer training images. Error if something cannot be written.
void write_pipeline_data(const std::filesystem::path& dir, const PipelineSizes& sizes,
                         uint64_t seed);

}  // namespace caprl::demo
