#include "ratings.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <sstream>
#include <vector>

#include "facts.h"

namespace caprl::demo {
namespace {

constexpr double kSayLittle = 0.5, kSlips = 0.4;  // of the captions

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

}  // namespace

std::string draw_rated_caption(const Scene& scene, Draws& draws) {
  const std::string text = vague_caption(scene, rated_vagueness(draws), draws).text();
  return draws.chance(kSlips) ? with_slips(text, draws) : text;
}

int64_t rating(const Caption& caption, const Scene& scene) {
  const FactCount said = count_facts(caption, scene);
  const int64_t all = count_facts(full_caption(scene), scene).num_facts;
  return 1 + std::lround(4.0 * static_cast<double>(said.num_true) /
                         static_cast<double>(all + said.num_facts - said.num_true));
}

}  // namespace caprl::demo
