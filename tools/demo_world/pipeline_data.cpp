#include "pipeline_data.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <sstream>

#include "caprl/core/error.h"
#include "facts.h"
#include "output_file.h"
#include "sft_rows.h"
#include "written.h"

namespace caprl::demo {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr double kShown = 0.7;                           // of the curator's questions
constexpr double kToldShown = 0.25, kToldUnshown = 0.5;  // that tell their answer
constexpr double kToldToAnswerer = 0.5;
constexpr double kSayLittle = 0.5, kSlips = 0.4;  // of the captions that are rated

/// As `caprl qa` asks: an option to abstain with the image alone.
std::string curator_prompt(const Question& question, bool shown) {
  const AskedQuestion asked = ask(question, 0, {}, {shown ? std::string(kAbstainText) : "", {}});
  std::string prompt(kCuratorPrompt);
  constexpr std::string_view kPlace = "{question}";
  return prompt.replace(prompt.find(kPlace), kPlace.size(), asked.text);
}

json curator_row(const ImageSet& set, int64_t index, int64_t variant, const Scene& scene,
                 Draws& draws) {
  const std::vector<Topic> topics = all_topics();
  const Topic& topic = topics[draws.below(static_cast<int64_t>(topics.size()))];
  Question question = draw_question(topic, scene, draws);
  const bool shown = draws.chance(kShown), told = draws.chance(shown ? kToldShown : kToldUnshown);
  const std::string truth(topic.truth(scene));
  if (told) question.text = topic.tell(truth) + " " + question.text;
  json row = image_row(set, index, variant, curator_prompt(question, shown),
                       shown || told ? truth : std::string(kAbstainText));
  if (!shown) row["messages"][0]["content"].erase(0);
  return row;
}

void write_curator_rows(const fs::path& dir, const ImageSet& set, int64_t per_image,
                        uint64_t seed) {
  OutputFile rows(dir / "curator_sft.jsonl");
  for_each_variant(set, per_image, Split::kCuratorQuestions, seed,
                   [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
                     rows.line(curator_row(set, i, variant, scene, draws));
                   });
  rows.close();
}

/// Captions from those that say almost nothing to full ones, from true ones to false ones; half of
/// them leave nothing out.
Vagueness rated_vagueness(Draws& draws) {
  Vagueness vagueness{1, 1, 1, 0, 0, 1, 0};
  if (draws.chance(kSayLittle)) {
    const double both = draws.uniform(), half = (1 - both) / 2;
    vagueness = {draws.uniform(), draws.uniform(), draws.uniform(), half, half, both, 0};
  }
  vagueness.wrong = draws.uniform() * draws.uniform();
  return vagueness;
}

/// Another word for one or two of the text's, or in front of them: what captions of a policy in
/// training show, and a judge that has never seen it may like.
std::string with_slips(const std::string& text, Draws& draws) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  std::vector<std::string_view> others = {kNothing, kThing, "."};
  for (const auto& group : {std::span<const std::string_view>(kPlaces), {kColors}, {kShapes}})
    others.insert(others.end(), group.begin(), group.end());
  for (int64_t slips = 1 + draws.below(2); slips > 0; --slips) {
    const auto at = words.begin() + draws.below(static_cast<int64_t>(words.size()));
    const std::string other(others[draws.below(static_cast<int64_t>(others.size()))]);
    if (draws.chance(0.5))
      *at = other;
    else
      words.insert(at, other);
  }
  return fmt::format("{}", fmt::join(words, " "));
}

std::string rated_caption(const Scene& scene, Draws& draws) {
  const std::string text = vague_caption(scene, rated_vagueness(draws), draws).text();
  return draws.chance(kSlips) ? with_slips(text, draws) : text;
}

/// 5 for the full and true caption, 1 where nothing true is said: what is truly said, as a share of
/// all there is to say and what is said wrongly.
int64_t rating(const Caption& caption, const Scene& scene) {
  const FactCount said = count_facts(caption, scene);
  const int64_t all = count_facts(full_caption(scene), scene).num_facts;
  return 1 + std::lround(4.0 * static_cast<double>(said.num_true) /
                         static_cast<double>(all + said.num_facts - said.num_true));
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
                   seed, rated_caption, rating);
  write_answerer_rows(dir / "told_sft.jsonl", Split::kToldAnswers, sizes.answerer_captions,
                      kToldToAnswerer, seed);
  write_annotated_images(dir, {"annotate", Split::kAnnotatedScenes, sizes.annotated_images}, seed);
  write_pool(dir, {"pool", Split::kPoolScenes, sizes.pool_images}, seed);
}

}  // namespace caprl::demo
