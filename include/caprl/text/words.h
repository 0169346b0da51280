// Running text as words, in any language.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// The words of UTF-8 text in order, case folded, without punctuation and spaces (Unicode's word
/// boundaries, UAX #29; Chinese, Japanese and Thai by ICU's dictionaries). What is not UTF-8 reads
/// as U+FFFD.
std::vector<std::string> split_words(std::string_view text);

/// A text's sentences (UAX #29), without the space around them.
std::vector<std::string> split_sentences(std::string_view text);

/// Lower case (Unicode's full mapping, no language's own rules); white space in between is one
/// space, and none is at the ends. UTF-8; what is not reads as U+FFFD.
std::string lower_and_squeeze(std::string_view text);

/// The characters of UTF-8 text.
std::u32string code_points(std::string_view text);

/// A regular expression (ICU's syntax), case ignored. Immutable; thread safe.
class TextPattern {
 public:
  /// InputError "WHERE: …" for a malformed expression.
  TextPattern(const std::string& expression, std::string_view where);
  ~TextPattern();
  TextPattern(TextPattern&&) noexcept;

  /// Whether it matches somewhere. Error if that takes too long to find out.
  bool found_in(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace caprl
