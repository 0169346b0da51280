// Tokenizers of tokenizer.json: added tokens, normalisation, words, merges.
#pragma once
#include "caprl/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/space_splitter.h"
#include "text/vocabulary.h"

namespace caprl {

struct BpeTokenizerParts {
  Normalizer normalizer;
  Pretokenizer pretokenizer;
  BpeParts bpe;
  DetokenizerRules detokenizer;
  std::vector<AddedToken> added_tokens;
  Vocabulary vocabulary;  // as spelled in the file, added ones too
  std::vector<int64_t> prefix_ids;
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts);

  std::vector<int64_t> encode(std::string_view text, bool parse_special) const override;
  void encode_plain(std::string_view text, bool is_start, std::vector<int64_t>& ids) const override;
  std::unique_ptr<TokenStream> stream(bool skip_special) const override;
  std::optional<int64_t> token_id(std::string_view token) const override;
  std::optional<std::string> find_added_token(std::string_view text) const override;
  const std::vector<int64_t>& added_ids() const override { return added_ids_; }
  const std::vector<int64_t>& prefix_ids() const override { return prefix_ids_; }
  int64_t vocab_size() const override { return detokenizer_.num_ids(); }

 private:
  void make_detokenizer(DetokenizerRules rules, const std::vector<AddedToken>& added);
  void sort_added_tokens(std::vector<AddedToken> tokens);
  void encode_segment(std::string_view text, bool is_start, bool parse_special,
                      std::vector<int64_t>& ids) const;
  void encode_words(std::string_view text, bool is_start, std::vector<int64_t>& ids) const;

  Normalizer normalizer_;
  Pretokenizer pretokenizer_;
  Vocabulary vocabulary_;
  std::vector<int64_t> prefix_ids_;
  std::vector<int64_t> added_ids_;
  AddedTokens added_tokens_;       // all of them, by their text
  AddedTokens raw_tokens_;         // looked for in the text as it is
  AddedTokens normalized_tokens_;  // and after normalisation
  Detokenizer detokenizer_;
  std::optional<SpaceSplitter> splitter_;
  Bpe bpe_;
};

}  // namespace caprl
