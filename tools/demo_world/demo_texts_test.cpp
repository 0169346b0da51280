// Captions, questions and examples as texts: shares, incentives, and a hand-checked table of facts.
#include <gtest/gtest.h>

#include <map>

#include "examples.h"
#include "facts.h"
#include "look_up.h"

namespace caprl::demo {
namespace {

TEST(AnswererExamples, SharesAreAsStated) {
  int64_t answerable = 0, total = 0;
  std::map<std::string, int64_t> letters;
  for (int64_t i = 0; i < 2000; ++i) {
    Draws draws(5, Split::kAnswererTraining, i);
    for (const AnswererExample& example : draw_answerer_examples(8, draws)) {
      ++total;
      answerable += example.is_answerable;
      ++letters[split(example.response).at(1)];
    }
  }
  EXPECT_NEAR(static_cast<double>(answerable) / total, 0.70, 0.03);
  EXPECT_EQ(letters.size(), 6u);
  for (const char* letter : {"A", "B", "C"})
    EXPECT_NEAR(static_cast<double>(letters[letter]) / total, 0.7 * (1 / 3. + 1 / 4. + 1 / 5.) / 3,
                0.02);
}

/// Share of an image's questions that a caption answers right.
double reward(const Caption& caption, const std::vector<Question>& questions) {
  double right = 0;
  for (const Question& question : questions)
    right += look_up(caption.text(), question.text) == question.choices[question.answer];
  return right / static_cast<double>(questions.size());
}

TEST(Incentives, TruthPaysAndInventionCosts) {
  double vague = 0, full = 0, silent = 0, invented = 0;
  FactCount vague_facts;
  constexpr int64_t kImages = 3000;
  for (int64_t i = 0; i < kImages; ++i) {
    Draws draws(9, Split::kTrainScenes, i);
    const Scene scene = draw_scene(draws);
    const auto questions = draw_questions(scene, draws);
    const Caption guess = vague_caption(scene, Vagueness{}, draws);
    Caption without = full_caption(scene), filled = full_caption(scene);
    std::erase_if(without.places, [](const PlaceStatement& s) { return s.is_empty; });
    for (PlaceStatement& statement : filled.places)
      if (statement.is_empty) statement = {statement.place, false, 0, 0};
    vague += reward(guess, questions) / kImages;
    full += reward(full_caption(scene), questions) / kImages;
    silent += reward(without, questions) / kImages;
    invented += reward(filled, questions) / kImages;
    vague_facts.add(count_facts(guess, scene));
  }
  EXPECT_NEAR(full, 1.0, 1e-9);
  EXPECT_GT(vague, 0.30);
  EXPECT_LT(vague, 0.50);
  EXPECT_LT(silent, 0.92);             // leaving empty places out is not enough
  EXPECT_DOUBLE_EQ(invented, silent);  // inventing gains nothing over silence
  EXPECT_NEAR(vague_facts.share(), 0.9, 0.01);
  std::printf("mean reward: vague %.3f, full %.3f, without empty places %.3f\n", vague, full,
              silent);
}

TEST(Captions, TextsParseBackToThemselves) {
  for (int64_t i = 0; i < 500; ++i) {
    Draws draws(1, Split::kVagueCaptions, i);
    const Scene scene = draw_scene(draws);
    for (const Caption& caption : {full_caption(scene), vague_caption(scene, Vagueness{}, draws)}) {
      const Caption parsed = parse_caption(caption.text());
      EXPECT_EQ(parsed.text(), caption.text());
      EXPECT_EQ(parsed.num_malformed, 0);
    }
  }
}

TEST(Facts, HandCheckedTable) {
  Scene scene;  // a red circle, nothing, nothing, a blue square
  scene.places[0] = Object{0, 0};
  scene.places[3] = Object{2, 1};
  struct Row {
    const char* caption;
    int64_t facts, right, malformed;
  };
  for (const Row& row : {
           Row{"two objects . topleft red circle . topright nothing . bottomleft nothing . "
               "bottomright blue square .",
               7, 7, 0},
           Row{"some objects . topleft thing .", 1, 1, 0},
           Row{"some objects . topright thing .", 1, 0, 0},
           Row{"three objects . topleft nothing .", 2, 0, 0},
           Row{"topleft red square . topleft circle .", 3, 2, 0},
           Row{"topright green cross .", 2, 0, 0},
           Row{"topleft red", 1, 1, 0},
           Row{"topleft circle red . topleft red red .", 2, 0, 2},
           Row{"two objects . two objects . hello . topleft .", 4, 1, 3},
           Row{"", 0, 0, 0},
           Row{". . .", 0, 0, 0},
       }) {
    const FactCount count = count_facts(parse_caption(row.caption), scene);
    EXPECT_EQ(count.num_facts, row.facts) << row.caption;
    EXPECT_EQ(count.num_true, row.right) << row.caption;
    EXPECT_EQ(count.num_malformed, row.malformed) << row.caption;
  }
}

}  // namespace
}  // namespace caprl::demo
