#include "words.h"

namespace caprl::demo {

std::vector<std::string> all_words() {
  std::vector<std::string> words = {"system",   "user", "assistant",  // roles
                                    "describe", "the",  "image",      // the captioner's prompt
                                    "question", "how",  "many",      "what", "color",
                                    "shape",    "is",   ".",         ":",    "?"};
  for (const auto word : {kSome, kObjects, kNothing, kThing, kAbstainText})
    words.emplace_back(word);
  words.insert(words.end(), kPlaces.begin(), kPlaces.end());
  words.insert(words.end(), kColors.begin(), kColors.end());
  words.insert(words.end(), kShapes.begin(), kShapes.end());
  words.insert(words.end(), kCounts.begin(), kCounts.end());
  return words;
}

}  // namespace caprl::demo
