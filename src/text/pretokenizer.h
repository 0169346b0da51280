// Splits text into the words that byte pair encoding works on.
#pragma once
#include <unicode/regex.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_fields.h"

namespace caprl {

/// A chain of regular expressions; each splits the pieces of the one before it into its matches and
/// the text between them
/// ("Isolated"). Immutable; thread safe.
class Pretokenizer {
 public:
  /// From tokenizer.json's `pre_tokenizer`: ByteLevel, alone or at the end of a Sequence of Split
  /// and Digits. InputError for anything else.
  static Pretokenizer from_json(const JsonPlace& config);

  /// Calls `word` with each piece of valid UTF-8, in order; together they are the text.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  void add_stage(const JsonPlace& config);
  void add_pattern(std::string_view pattern, const std::string& where);

  std::vector<std::unique_ptr<const icu::RegexPattern>> patterns_;
};

}  // namespace caprl
