#include "curator.h"

#include <array>

#include "caprl/text/placeholders.h"
#include "questions.h"

namespace caprl::demo {
namespace {

constexpr double kShown = 0.7;                           // of the questions
constexpr double kToldShown = 0.25, kToldUnshown = 0.5;  // that tell their answer

/// As `caprl qa` asks: an option to abstain with the image alone.
std::string curator_prompt(const Question& question, bool shown) {
  const AskedQuestion asked = ask(question, 0, {}, {shown ? std::string(kAbstainText) : "", {}});
  const std::array<Filling, 1> fillings{{{"{question}", asked.text}}};
  return fill_in(kCuratorPrompt, fillings);
}

}  // namespace

nlohmann::ordered_json draw_curator_row(const ImageSet& set, int64_t index, int64_t variant,
                                        const Scene& scene, Draws& draws) {
  const std::vector<Topic> topics = all_topics();
  const Topic& topic = topics[draws.below(static_cast<int64_t>(topics.size()))];
  Question question = draw_question(topic, scene, draws);
  const bool shown = draws.chance(kShown), told = draws.chance(shown ? kToldShown : kToldUnshown);
  const std::string truth(topic.truth(scene));
  if (told) question.text = topic.tell(truth) + " " + question.text;
  nlohmann::ordered_json row = image_row(set, index, variant, curator_prompt(question, shown),
                                         shown || told ? truth : std::string(kAbstainText));
  if (!shown) row["messages"][0]["content"].erase(0);
  return row;
}

}  // namespace caprl::demo
