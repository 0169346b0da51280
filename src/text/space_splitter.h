// Where a text without pre-tokenizer may be cut into words all the same.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

namespace caprl {

/// Cuts before "▁", the space of sentencepiece, where no token reaches across: merging the pieces
/// one by one gives the same ids as merging the whole. Words can be remembered then, and a long
/// text stays in the cache.
class SpaceSplitter {
 public:
  /// Whether a vocabulary's token may hold "▁" after another character decides where it cuts.
  void add_token(std::string_view token);
  void finish();

  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  bool can_cut_after(char32_t code_point) const;

  std::vector<char32_t> joined_;  // characters that some token has before a "▁", ascending
};

}  // namespace caprl
