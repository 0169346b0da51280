// The caprl side of `tools/bench reward`: letters for captions × questions.
//   caprl-bench-reward MODEL CAPTIONS QUESTIONS THREADS PROMPTS.json
// Writes the prompts and the letters' tokens to PROMPTS.json for the peer, and prints the letters
// as numbers and the right ones' probabilities. Then every line on stdin asks for one round; the
// answer is its seconds.
#include <ATen/Parallel.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "caprl/reward/reward.h"
#include "reward/answer_prompt.h"
#include "reward/draw.h"
#include "round_program.h"

namespace caprl {
namespace {

constexpr std::array<const char*, 8> kColors{"red",   "blue",  "green", "yellow",
                                             "black", "white", "brown", "grey"};
constexpr std::array<const char*, 8> kThings{"bicycle", "dog",  "lamp",   "table",
                                             "window",  "boat", "jacket", "umbrella"};
constexpr std::array<const char*, 8> kPlaces{
    "next to the door",   "under the tree",   "in front of a shop",   "at the edge of the water",
    "behind the counter", "on the left side", "near the open window", "in the far corner"};

template <class List>
const char* pick(const List& list, int64_t i) {
  return list[static_cast<size_t>(i) % list.size()];
}

/// About 140 tokens; each caption says something else.
std::string caption(int64_t i) {
  std::string text = "The photograph was taken on a bright afternoon.";
  for (int64_t k = 0; k < 8; ++k)
    text += fmt::format(" A {} {} can be seen {}, and its shadow falls on the ground.",
                        pick(kColors, i + 3 * k), pick(kThings, k), pick(kPlaces, i + k));
  return text;
}

Question question(int64_t k) {
  Question question;
  question.text = fmt::format("What is the color of the {} in the image?", pick(kThings, k));
  for (int64_t c = 0; c < 4; ++c) question.choices.emplace_back(pick(kColors, k + 2 * c));
  question.answer = k % 4;
  return question;
}

/// What the answerer reads, prompt by prompt, for a peer that shares nothing.
void write_prompts(const RewardConfig& config, const GroupToScore& group, const std::string& file) {
  const auto tokenizer = Tokenizer::load(config.answerer.model);
  const AnswerPrompt prompt(config.answerer, tokenizer,
                            ChatFormat::load(config.answerer.model, tokenizer, ""));
  nlohmann::json content;
  for (const CaptionToScore& caption : group.captions)
    for (const AskedQuestion& asked : draw_questions(*group.questions, config, {}))
      content["prompts"].push_back({{"ids", prompt.ids(caption.text, asked)},
                                    {"labels", asked.labels()},
                                    {"right", std::string(1, asked.right)}});
  for (char letter = 'A'; letter <= 'I'; ++letter)
    for (const std::string& text : {std::string(1, letter), std::string(" ") + letter})
      if (const auto ids = tokenizer->encode(text, false); ids.size() == 1)
        content["letters"][std::string(1, letter)].push_back(ids[0]);
  std::ofstream(file) << content;
}

int bench(int argc, char** argv) {
  if (argc != 6)
    throw InputError("usage: caprl-bench-reward MODEL CAPTIONS QUESTIONS THREADS PROMPTS.json");
  at::set_num_threads(std::stoi(argv[4]));
  RewardConfig config;
  config.answerer.model = argv[1];
  config.answerer.mode = AnswerMode::kLetterLogits;
  config.draw = QuestionDraw::kAll;
  config.abstain_choice = "Can not answer based on the caption";
  std::vector<Question> questions;
  for (int64_t k = 0; k < std::stoll(argv[3]); ++k) questions.push_back(question(k));
  GroupToScore group{1, &questions, {}};
  for (int64_t i = 0; i < std::stoll(argv[2]); ++i) group.captions.push_back({caption(i)});
  write_prompts(config, group, argv[5]);

  const RewardModel model(config, 1, at::kCPU);
  GroupScores scores = model.score({&group, 1}, 1);
  for (const CaptionReward& caption : scores[0])
    for (const AnswerRecord& answer : caption.answers)
      std::cout << answer.given - 'A' + 1 << " " << answer.right_probability << " ";
  std::cout << std::endl;
  answer_rounds([&] { scores = model.score({&group, 1}, 1); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
