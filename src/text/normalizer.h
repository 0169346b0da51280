// What a tokenizer does to text before anything else: tokenizer.json's `normalizer`.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/json_fields.h"

namespace caprl {

/// Immutable; thread safe.
class Normalizer {
 public:
  Normalizer() = default;
  /// NFC, NFKC, Replace of a string, Prepend, or a Sequence of these. InputError for anything else.
  static Normalizer from_json(const JsonPlace& config);

  /// Of valid UTF-8. The result is `text` itself or stands in `buffer`.
  std::string_view apply(std::string_view text, std::string& buffer) const;

 private:
  struct Nfc {};
  struct Nfkc {};
  struct Replace {
    std::string pattern;
    std::string content;
  };
  struct Prepend {  // to text that is not empty
    std::string content;
  };
  using Step = std::variant<Nfc, Nfkc, Replace, Prepend>;

  void add(const JsonPlace& config);
  static std::string apply(const Step& step, std::string_view text);

  std::vector<Step> steps_;
};

/// All occurrences of `pattern`, which is not empty, from left to right.
std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content);

/// `config`'s {"String": …} under `key`; InputError if it is another kind of pattern or empty.
std::string string_pattern(const JsonPlace& config, const char* key);

}  // namespace caprl
