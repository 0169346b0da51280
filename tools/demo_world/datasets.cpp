#include "datasets.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "facts.h"
#include "image_set.h"
#include "output_file.h"
#include "questions.h"
#include "sft_rows.h"

namespace caprl::demo {
namespace {

using json = nlohmann::ordered_json;

json question_row(const ImageSet& set, int64_t index, const std::vector<Question>& questions) {
  json items = json::array();
  for (const Question& question : questions) {
    json choices = json::array();
    for (size_t i = 0; i < question.choices.size(); ++i)
      choices.push_back(fmt::format("{}) {}", static_cast<char>('A' + i), question.choices[i]));
    items.push_back({{"question", question.text},
                     {"choices", choices},
                     {"answer", std::string(1, static_cast<char>('A' + question.answer))}});
  }
  return {{"id", image_id(set, index)},
          {"image", {{"path", image_path(set, index)}}},
          {"prompt", user_turn(kCaptionPrompt)},
          {"data_source", "image_caption_rl"},
          {"reward_model", {{"ground_truth", items}}}};
}

/// What `caprl eval` asks about the image: each question with the option to abstain, which has its
/// own letter, and so within the text.
void write_items(const ImageSet& set, int64_t index, const std::vector<Question>& questions,
                 OutputFile& items) {
  for (size_t i = 0; i < questions.size(); ++i) {
    const AskedQuestion asked =
        ask(questions[i], 0, {}, {std::string(kAbstainText), std::string(kAbstainLabel)});
    const bool is_number = asked.text.starts_with("how many");
    items.line({{"id", fmt::format("{}-{}", image_id(set, index), i)},
                {"benchmark", is_number                              ? "number"
                              : asked.text.starts_with("what color") ? "color"
                                                                     : "shape"},
                {"image", image_path(set, index)},
                {"prompt", user_turn(kCaptionPrompt)},
                {"question", asked.text},
                {"answer", std::string(1, asked.right)},
                {"scorer", "choice"}});
  }
}

void write_image_rows(const std::filesystem::path& dir, const ImageSet& set, Split questions_split,
                      uint64_t seed, OutputFile& truth) {
  std::filesystem::create_directories(dir / "images" / set.name);
  OutputFile rows(dir / (set.name + ".jsonl")), items(dir / (set.name + "_items.jsonl"));
  for (int64_t i = 0; i < set.size; ++i) {
    const Scene scene = write_image(dir, set, i, seed);
    Draws question_draws(seed, questions_split, i);
    const std::vector<Question> questions = draw_questions(scene, question_draws);
    rows.line(question_row(set, i, questions));
    write_items(set, i, questions, items);
    truth.line({{"id", image_id(set, i)},
                {"image", image_path(set, i)},
                {"caption", full_caption(scene).text()}});
  }
  rows.close();
  items.close();
}

void write_captioner_rows(const std::filesystem::path& dir, const ImageSet& set, int64_t per_image,
                          uint64_t seed) {
  constexpr std::string_view kMarker = "<image>";
  OutputFile rows(dir / "captioner_sft.jsonl");
  for_each_variant(set, per_image, Split::kVagueCaptions, seed,
                   [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
                     rows.line(image_row(set, i, variant, kCaptionPrompt.substr(kMarker.size()),
                                         vague_caption(scene, Vagueness{}, draws).text()));
                   });
  rows.close();
}

std::string judged_caption(const Scene& scene, Draws& draws) {
  Vagueness vagueness;
  vagueness.wrong = draws.uniform();
  return vague_caption(scene, vagueness, draws).text();
}

/// 1 where nothing that the caption states is true, 5 where all of it is.
int64_t judgement(const Caption& caption, const Scene& scene) {
  return 1 + std::lround(4 * count_facts(caption, scene).share());
}

}  // namespace

void write_datasets(const std::filesystem::path& dir, const DatasetSizes& sizes, uint64_t seed) {
  const ImageSet train{"train", Split::kTrainScenes, sizes.train_images};
  const ImageSet heldout{"heldout", Split::kHeldOutScenes, sizes.heldout_images};
  std::filesystem::create_directories(dir);
  std::filesystem::remove(dir / "truth.jsonl");
  const auto unfinished = dir / "truth.jsonl.part";
  OutputFile truth(unfinished);
  write_image_rows(dir, train, Split::kTrainQuestions, seed, truth);
  write_image_rows(dir, heldout, Split::kHeldOutQuestions, seed, truth);
  write_captioner_rows(dir, train, sizes.captions_per_image, seed);
  write_judge_rows(dir / "judge_sft.jsonl", train, sizes.judged_per_image, Split::kJudgedCaptions,
                   seed, judged_caption, judgement);
  write_answerer_rows(dir / "answerer_sft.jsonl", Split::kAnswererTraining, sizes.answerer_captions,
                      0, seed);
  write_answerer_rows(dir / "answerer_test.jsonl", Split::kAnswererTest,
                      sizes.answerer_test_captions, 0, seed);
  write_answerer_rows(dir / "answerer_test_questions.jsonl", Split::kAnswererTest,
                      sizes.answerer_test_captions, 0, seed, false);
  truth.close();
  std::filesystem::rename(unfinished, dir / "truth.jsonl");
}

}  // namespace caprl::demo
