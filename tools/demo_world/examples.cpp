#include "examples.h"

#include <fmt/format.h>

#include <algorithm>

namespace caprl::demo {
namespace {

constexpr double kFullCaptions = 0.4;
constexpr double kAnswerable = 0.7;
constexpr double kSaidButNotOffered = 0.3;  // of the examples without an answer
constexpr double kToldIsSaid = 0.5;         // where the caption says something to it
// Defects that captions of a policy in training show.
constexpr double kOddNumber = 0.2, kShuffled = 0.15, kRepeated = 0.1, kNoOpening = 0.05,
                 kCut = 0.05;

/// A caption of a scene of its own, from full to saying almost nothing.
Caption draw_caption(Draws& draws) {
  const Scene scene = draw_scene(draws);
  Caption caption;
  if (draws.chance(kFullCaptions)) {
    caption = full_caption(scene);
  } else {
    const double both = draws.uniform(), thing = 0.1 * (1 - both), half = (1 - both - thing) / 2;
    caption = vague_caption(
        scene, {draws.uniform(), draws.uniform(0.4, 1), draws.uniform(), half, half, both, 0},
        draws);
  }
  if (caption.num_objects && draws.chance(kOddNumber))
    caption.num_objects = 1 + draws.below(kCounts.size());
  if (draws.chance(kShuffled)) draws.shuffle(caption.places);
  if (!caption.places.empty() && draws.chance(kRepeated)) {
    const size_t place = caption.places[draws.below(caption.places.size())].place;
    caption.places.push_back(
        {place, false, draws.below(kColors.size()), draws.below(kShapes.size())});
  }
  if (!caption.places.empty() && draws.chance(kNoOpening))
    caption.has_opening = false, caption.num_objects.reset();
  return caption;
}

/// The text, sometimes without its last one or two words.
std::string draw_text(const Caption& caption, Draws& draws) {
  std::string text = caption.text();
  if (!draws.chance(kCut)) return text;
  for (int64_t words = 1 + draws.below(2); words > 0; --words)
    text.erase(std::min(text.size(), text.rfind(' ')));
  return text;
}

std::string fill_prompt(const std::string& caption, const std::string& question) {
  std::string prompt(kAnswererPrompt);
  const auto replace = [&](std::string_view key, const std::string& value) {
    prompt.replace(prompt.find(key), key.size(), value);
  };
  replace("{question}", question);
  replace("{caption}", caption);
  return prompt;
}

AnswererExample make_example(const std::string& text, const Topic& topic,
                             std::optional<std::string_view> said, bool offer_said, Draws& draws,
                             const std::string& telling = {}) {
  Question question{telling + topic.text(), {}, 0};
  question.choices = draw_options(topic, 3 + draws.below(3), offer_said ? said : std::nullopt,
                                  offer_said ? std::nullopt : said, draws);
  const AskedQuestion asked =
      ask(question, 0, {}, {std::string(kAbstainText), std::string(kAbstainLabel)});
  const auto place = std::find(question.choices.begin(), question.choices.end(),
                               said.value_or(std::string_view()));
  const bool is_answerable = place != question.choices.end();
  const char letter =
      is_answerable ? static_cast<char>('A' + (place - question.choices.begin())) : asked.abstain;
  return {fill_prompt(text, asked.text), fmt::format("{} {}", said.value_or(kAbstainText), letter),
          is_answerable};
}

/// About any topic, with a question that tells a value: the caption's own or any other.
AnswererExample make_told_example(const std::string& text, const Caption& caption, Draws& draws) {
  const std::vector<Topic> topics = all_topics();
  const Topic& topic = topics[draws.below(static_cast<int64_t>(topics.size()))];
  const auto said = topic.said(caption);
  const std::vector<std::string_view> values = topic.values();
  std::string_view told = values[draws.below(static_cast<int64_t>(values.size()))];
  if (said && draws.chance(kToldIsSaid)) told = *said;
  return make_example(text, topic, said.value_or(told), draws.chance(kAnswerable), draws,
                      topic.tell(told) + " ");
}

}  // namespace

std::vector<AnswererExample> draw_answerer_examples(int64_t count, Draws& draws, double told) {
  const std::string text = draw_text(draw_caption(draws), draws);
  const Caption caption = parse_caption(text);  // after the cut
  std::vector<Topic> said, unsaid;
  for (const Topic& topic : all_topics()) (topic.said(caption) ? said : unsaid).push_back(topic);
  std::vector<AnswererExample> examples;
  for (int64_t i = 0; i < count; ++i) {
    if (told > 0 && draws.chance(told)) {
      examples.push_back(make_told_example(text, caption, draws));
      continue;
    }
    const bool answerable = !said.empty() && draws.chance(kAnswerable);
    const bool withheld =
        !answerable && !said.empty() && (unsaid.empty() || draws.chance(kSaidButNotOffered));
    const std::vector<Topic>& topics = answerable || withheld || unsaid.empty() ? said : unsaid;
    const Topic& topic = topics[draws.below(static_cast<int64_t>(topics.size()))];
    examples.push_back(make_example(text, topic, topic.said(caption), answerable, draws));
  }
  return examples;
}

}  // namespace caprl::demo
