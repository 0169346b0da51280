#include "pipeline_data.h"

#include <fmt/format.h>

#include "caprl/core/error.h"
#include "curator.h"
#include "output_file.h"
#include "ratings.h"
#include "sft_rows.h"
#include "written.h"

namespace caprl::demo {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr double kToldToAnswerer = 0.5;  // of its questions

void write_curator_rows(const fs::path& dir, const ImageSet& set, int64_t per_image,
                        uint64_t seed) {
  OutputFile rows(dir / "curator_sft.jsonl");
  for_each_variant(set, per_image, Split::kCuratorQuestions, seed,
                   [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
                     rows.line(draw_curator_row(set, i, variant, scene, draws));
                   });
  rows.close();
}

void write_pool(const fs::path& dir, const ImageSet& set, uint64_t seed) {
  fs::create_directories(dir / "images" / set.name);
  const fs::path unfinished = dir / "pool_flaws.jsonl.part";
  OutputFile rows(dir / "pool.jsonl"), flaws(unfinished);
  for (int64_t i = 0; i < set.size; ++i) {
    const Scene scene = write_image(dir, set, i, seed);
    Draws draws(seed, Split::kWrittenQuestions, i);
    const std::vector<WrittenQuestion> written = draw_written_questions(scene, draws);
    rows.line({{"id", image_id(set, i)},
               {"image", {{"path", image_path(set, i)}}},
               {"qa_response", written_response(written)}});
    json questions = json::array();
    for (const WrittenQuestion& one : written)
      questions.push_back({{"question", one.question.text}, {"flaw", flaw_name(one.flaw)}});
    flaws.line({{"id", image_id(set, i)}, {"questions", questions}});
  }
  rows.close();
  flaws.close();
  fs::rename(unfinished, dir / "pool_flaws.jsonl");
}

void write_annotated_images(const fs::path& dir, const ImageSet& set, uint64_t seed) {
  fs::create_directories(dir / "images" / set.name);
  OutputFile rows(dir / "annotate.jsonl");
  for (int64_t i = 0; i < set.size; ++i) {
    write_image(dir, set, i, seed);
    rows.line({{"id", image_id(set, i)},
               {"image", {{"path", image_path(set, i)}}},
               {"prompt", user_turn(kCaptionPrompt)}});
  }
  rows.close();
}

}  // namespace

void write_pipeline_data(const fs::path& dir, const PipelineSizes& sizes, uint64_t seed) {
  const ImageSet taught{"train", Split::kTrainScenes, sizes.taught_images};
  const fs::path last = dir / image_path(taught, sizes.taught_images - 1);
  if (!fs::exists(last))
    throw InputError(
        "{} is missing; expected a folder of `caprl-demo-world make` with {} training "
        "images",
        last.string(), sizes.taught_images);
  fs::remove(dir / "pool_flaws.jsonl");
  write_curator_rows(dir, taught, sizes.rows_per_image, seed);
  write_judge_rows(dir / "rater_sft.jsonl", taught, sizes.rows_per_image, Split::kRatedCaptions,
                   seed, draw_rated_caption, rating);
  write_answerer_rows(dir / "told_sft.jsonl", Split::kToldAnswers, sizes.answerer_captions,
                      kToldToAnswerer, seed);
  write_annotated_images(dir, {"annotate", Split::kAnnotatedScenes, sizes.annotated_images}, seed);
  write_pool(dir, {"pool", Split::kPoolScenes, sizes.pool_images}, seed);
}

}  // namespace caprl::demo
