// Ids to text, all at once or as they come.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caprl/text/tokenizer.h"
#include "text/json_fields.h"

namespace caprl {

struct TokenText {
  std::string text;      // of a byte token: the byte
  bool is_byte = false;  // stands for one byte of a character ("<0x0A>")
  bool special = false;
};

/// tokenizer.json's `decoder`, of the kinds that published models have.
struct DetokenizerRules {
  /// What a run of byte tokens that is not valid UTF-8 becomes.
  enum class Invalid {
    kLossy,     // U+FFFD for each maximal ill-formed sequence; every token counts as bytes
    kWholeRun,  // U+FFFD for each byte of the run, as Hugging Face's ByteFallback does
    kEachByte,  // U+FFFD for each byte that is part of no character, as sentencepiece does, which
                // does not strip bytes either
  };
  Invalid invalid = Invalid::kLossy;
  std::vector<std::pair<std::string, std::string>> replacements;  // inside each token
  bool byte_fallback = false;
  std::string strip;      // a character dropped from the beginning of the whole text,
  int64_t num_strip = 0;  // so many times at most

  /// ByteLevel, or Replace …, ByteFallback, Fuse, Strip in this order (each may be absent).
  /// InputError for anything else.
  static DetokenizerRules from_json(const JsonPlace& config);

  /// The text of a token as it is spelled in the vocabulary.
  TokenText token_text(const std::string& token) const;
};

/// Immutable; thread safe.
class Detokenizer {
 public:
  Detokenizer() = default;
  Detokenizer(DetokenizerRules rules, std::vector<TokenText> tokens)
      : rules_(std::move(rules)), tokens_(std::move(tokens)) {}

  const DetokenizerRules& rules() const { return rules_; }
  int64_t num_ids() const { return static_cast<int64_t>(tokens_.size()); }
  /// Null for an id without a token.
  const TokenText* find(int64_t id) const {
    return id >= 0 && id < num_ids() ? &tokens_[static_cast<size_t>(id)] : nullptr;
  }

  /// The stream refers to this object.
  std::unique_ptr<TokenStream> stream(bool skip_special) const;

 private:
  DetokenizerRules rules_;
  std::vector<TokenText> tokens_;  // by id
};

}  // namespace caprl
