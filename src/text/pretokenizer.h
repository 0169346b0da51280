// Splits text into the words that byte pair encoding works on.
#pragma once
#include <unicode/regex.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/ascii_pattern.h"
#include "text/json_fields.h"

namespace caprl {

/// A chain of regular expressions; each splits the pieces of the one before it into its matches and
/// the text between them ("Isolated"). Immutable; thread safe.
class Pretokenizer {
 public:
  /// From tokenizer.json's `pre_tokenizer`: ByteLevel, alone or at the end of a Sequence of Split
  /// and Digits; Metaspace; or null. InputError for anything else.
  static Pretokenizer from_json(const JsonPlace& config);

  /// Whether the words' bytes are the symbols, rather than their characters.
  bool is_byte_level() const { return is_byte_level_; }

  /// Calls `word` with each piece of valid UTF-8, in order; together they are the text, or what
  /// Metaspace makes of it. `is_start`: nothing of the input comes before this text.
  void split(std::string_view text, bool is_start,
             const std::function<void(std::string_view)>& word) const;

 private:
  /// Spaces become a visible character, which also comes before the text.
  struct Metaspace {
    enum class Prepend { kAlways, kFirst, kNever };
    std::string replacement;
    Prepend prepend = Prepend::kAlways;

    std::string apply(std::string_view text, bool is_start) const;
  };

  void add_stage(const JsonPlace& config);
  void add_metaspace(const JsonPlace& config);
  void add_pattern(std::string_view pattern, const std::string& where);
  void split_ascii(std::string_view text, size_t stage,
                   const std::function<void(std::string_view)>& word) const;
  void split_by_patterns(std::string_view text,
                         const std::function<void(std::string_view)>& word) const;

  std::optional<Metaspace> metaspace_;
  struct Stage {
    std::unique_ptr<const icu::RegexPattern> pattern;
    std::optional<AsciiPattern> ascii;
  };
  std::vector<Stage> patterns_;
  bool all_ascii_ = false;  // there are patterns, and each has its form for ASCII
  bool is_byte_level_ = false;
};

}  // namespace caprl
