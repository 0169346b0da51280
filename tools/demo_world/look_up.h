// The tests' own reading of captions, apart from the code under test.
#pragma once
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace caprl::demo {

inline std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// What a caption answers to a question; "unknown" if it says nothing to it.
inline std::string look_up(const std::string& caption, const std::string& question) {
  static const std::map<std::string, std::set<std::string>> words_of = {
      {"color", {"red", "green", "blue", "yellow", "white", "cyan", "nothing"}},
      {"shape", {"circle", "square", "triangle", "cross", "nothing"}},
      {"objects", {"one", "two", "three", "four", "five"}}};
  const auto asked = split(question);  // how many objects ? | what color is topleft ?
  const auto words = split(caption);
  const bool is_count = asked[0] == "how";
  const auto& values = words_of.at(is_count ? "objects" : asked[1]);
  const std::string subject = is_count ? "objects" : asked[3];
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] != subject) continue;
    if (is_count) return i > 0 && values.contains(words[i - 1]) ? words[i - 1] : "unknown";
    for (++i; i < words.size() && words[i] != "."; ++i)
      if (values.contains(words[i])) return words[i];
    return "unknown";
  }
  return "unknown";
}

}  // namespace caprl::demo
