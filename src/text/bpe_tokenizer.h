// The tokenizer of GPT-2's kind: added tokens, normalisation, words, merges of bytes.
#pragma once
#include <unordered_map>

#include "caprl/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"

namespace caprl {

struct BpeTokenizerParts {
  bool normalize_nfc = false;
  Pretokenizer pretokenizer;
  BpeParts bpe;
  std::vector<AddedToken> added_tokens;
  std::unordered_map<std::string, int64_t> id_of_token;  // as spelled in the file, added ones too
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts);

  std::vector<int64_t> encode(std::string_view text, bool parse_special) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special) const override;
  std::optional<int64_t> token_id(std::string_view token) const override;
  std::optional<std::string> find_added_token(std::string_view text) const override;
  const std::vector<int64_t>& added_ids() const override { return added_ids_; }
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }

 private:
  struct Token {
    std::string bytes;
    bool special = false;
  };

  void encode_plain(std::string_view text, std::vector<int64_t>& ids) const;

  bool normalize_nfc_;
  Pretokenizer pretokenizer_;
  Bpe bpe_;
  std::unordered_map<std::string, int64_t> id_of_token_;
  std::vector<Token> tokens_;  // by id
  std::vector<int64_t> added_ids_;
  AddedTokens added_tokens_;
};

}  // namespace caprl
