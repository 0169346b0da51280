#include "datasets.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "examples.h"
#include "facts.h"
#include "pictures.h"

namespace caprl::demo {
namespace {

using json = nlohmann::ordered_json;

constexpr int64_t kMaxCaptionsPerImage = 1 << 20;

struct ImageSet {
  std::string name;  // of the folder and the rows' ids
  Split scenes, questions;
  int64_t size;
};

/// A file written once, checked.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path)
      : path_(path), stream_(path, std::ios::binary) {
    check();
  }
  void write(std::string_view bytes) {
    stream_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void line(const json& value) { write(value.dump() + "\n"); }
  void close() {
    stream_.close();
    check();
  }

 private:
  void check() const {
    if (!stream_) throw Error("{} cannot be written: {}", path_.string(), std::strerror(errno));
  }
  std::filesystem::path path_;
  std::ofstream stream_;
};

std::string image_id(const ImageSet& set, int64_t index) {
  return fmt::format("{}-{:06}", set.name, index);
}

std::string image_path(const ImageSet& set, int64_t index) {
  return fmt::format("images/{}/{:06}.{}", set.name, index, index % 2 == 0 ? "png" : "jpg");
}

void write_image(const std::filesystem::path& dir, const ImageSet& set, int64_t index,
                 const Scene& scene, Draws& draws) {
  const std::vector<uint8_t> pixels = draw_picture(scene, draws);
  OutputFile file(dir / image_path(set, index));
  file.write(index % 2 == 0 ? encode_png(pixels) : encode_jpeg(pixels));
  file.close();
}

json user_turn(const json& content) {
  return json::array({{{"role", "user"}, {"content", content}}});
}

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

json caption_row(const ImageSet& set, int64_t index, int64_t variant, const std::string& caption) {
  constexpr std::string_view kMarker = "<image>";
  const json content =
      json::array({{{"type", "image"}, {"image", image_path(set, index)}},
                   {{"type", "text"}, {"text", kCaptionPrompt.substr(kMarker.size())}}});
  return {{"id", fmt::format("{}-{}", image_id(set, index), variant)},
          {"messages", user_turn(content)},
          {"response", caption}};
}

void write_image_rows(const std::filesystem::path& dir, const ImageSet& set, uint64_t seed,
                      OutputFile& truth) {
  std::filesystem::create_directories(dir / "images" / set.name);
  OutputFile rows(dir / (set.name + ".jsonl")), items(dir / (set.name + "_items.jsonl"));
  for (int64_t i = 0; i < set.size; ++i) {
    Draws draws(seed, set.scenes, i);
    const Scene scene = draw_scene(draws);  // the picture's draws follow in the same sequence
    write_image(dir, set, i, scene, draws);
    Draws question_draws(seed, set.questions, i);
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

/// work(image, variant, its scene, draws of `split`) for so many variants of every image.
template <class Work>
void for_each_variant(const ImageSet& set, int64_t per_image, Split split, uint64_t seed,
                      Work work) {
  for (int64_t i = 0; i < set.size; ++i) {
    Draws scene_draws(seed, set.scenes, i);
    const Scene scene = draw_scene(scene_draws);
    for (int64_t variant = 0; variant < per_image; ++variant) {
      Draws draws(seed, split, i * kMaxCaptionsPerImage + variant);
      work(i, variant, scene, draws);
    }
  }
}

void write_captioner_rows(const std::filesystem::path& dir, const ImageSet& set, int64_t per_image,
                          uint64_t seed) {
  OutputFile rows(dir / "captioner_sft.jsonl");
  for_each_variant(
      set, per_image, Split::kVagueCaptions, seed,
      [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
        rows.line(caption_row(set, i, variant, vague_caption(scene, Vagueness{}, draws).text()));
      });
  rows.close();
}

/// 1 where nothing that the caption states is true, 5 where all of it is.
std::string judgement(const Caption& caption, const Scene& scene) {
  return std::to_string(1 + std::lround(4 * count_facts(caption, scene).share()));
}

void write_judge_rows(const std::filesystem::path& dir, const ImageSet& set, int64_t per_image,
                      uint64_t seed) {
  constexpr std::string_view kPlace = "{caption}";
  OutputFile rows(dir / "judge_sft.jsonl");
  for_each_variant(set, per_image, Split::kJudgedCaptions, seed,
                   [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
                     Vagueness vagueness;
                     vagueness.wrong = draws.uniform();
                     const Caption caption = vague_caption(scene, vagueness, draws);
                     std::string text(kJudgePrompt);
                     text.replace(text.find(kPlace), kPlace.size(), caption.text());
                     json row = caption_row(set, i, variant, judgement(caption, scene));
                     row["messages"][0]["content"][1]["text"] = text;
                     rows.line(row);
                   });
  rows.close();
}

void write_answerer_rows(const std::filesystem::path& path, Split split, int64_t num_captions,
                         uint64_t seed, bool with_responses = true) {
  OutputFile rows(path);
  for (int64_t i = 0; i < num_captions; ++i) {
    Draws draws(seed, split, i);
    int64_t place = 0;
    for (const AnswererExample& example : draw_answerer_examples(kExamplesPerCaption, draws)) {
      const json content = json::array({{{"type", "text"}, {"text", example.prompt}}});
      json row = {{"id", fmt::format("{:06}-{}", i, place++)}, {"messages", user_turn(content)}};
      if (with_responses) row["response"] = example.response;
      rows.line(row);
    }
  }
  rows.close();
}

}  // namespace

void write_datasets(const std::filesystem::path& dir, const DatasetSizes& sizes, uint64_t seed) {
  const ImageSet train{"train", Split::kTrainScenes, Split::kTrainQuestions, sizes.train_images};
  const ImageSet heldout{"heldout", Split::kHeldOutScenes, Split::kHeldOutQuestions,
                         sizes.heldout_images};
  std::filesystem::create_directories(dir);
  std::filesystem::remove(dir / "truth.jsonl");
  const auto unfinished = dir / "truth.jsonl.part";
  OutputFile truth(unfinished);
  write_image_rows(dir, train, seed, truth);
  write_image_rows(dir, heldout, seed, truth);
  write_captioner_rows(dir, train, sizes.captions_per_image, seed);
  write_judge_rows(dir, train, sizes.judged_per_image, seed);
  write_answerer_rows(dir / "answerer_sft.jsonl", Split::kAnswererTraining, sizes.answerer_captions,
                      seed);
  write_answerer_rows(dir / "answerer_test.jsonl", Split::kAnswererTest,
                      sizes.answerer_test_captions, seed);
  write_answerer_rows(dir / "answerer_test_questions.jsonl", Split::kAnswererTest,
                      sizes.answerer_test_captions, seed, false);
  truth.close();
  std::filesystem::rename(unfinished, dir / "truth.jsonl");
}

}  // namespace caprl::demo
