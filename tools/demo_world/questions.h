// Questions about a scene, and what a caption says to them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/reward/question.h"
#include "captions.h"

namespace caprl::demo {

/// "how many objects ?", "what color is topleft ?", "what shape is topleft ?". The answer to the
/// latter two is "nothing" where the place is empty.
struct Topic {
  enum class Kind { kNumber, kColor, kShape };
  Kind kind = Kind::kNumber;
  size_t place = 0;  // not of kNumber

  std::string text() const;
  /// A sentence that says the value, as captions say it: "topleft red .", "three objects .".
  std::string tell(std::string_view value) const;
  std::vector<std::string_view> values() const;  // what may be an option
  std::string_view truth(const Scene& scene) const;
  /// What the caption says; absent if it says nothing to it.
  std::optional<std::string_view> said(const Caption& caption) const;
};

/// All nine topics.
std::vector<Topic> all_topics();

/// `count` distinct values of the topic in random order, with `wanted` among them or without
/// `unwanted`; the count is lowered where there are not as many.
std::vector<std::string> draw_options(const Topic& topic, int64_t count,
                                      std::optional<std::string_view> wanted,
                                      std::optional<std::string_view> unwanted, Draws& draws);

/// About a topic, with three to five options and the right answer among them.
Question draw_question(const Topic& topic, const Scene& scene, Draws& draws);

/// Six questions: the number, two colours, two shapes, and an empty place if there is one, in
/// random order. A caption that describes everything truly answers all of them; an object invented
/// for an empty place costs that place's question.
std::vector<Question> draw_questions(const Scene& scene, Draws& draws);

}  // namespace caprl::demo
