// Tokenizers of tokenizer.model, read and run by the sentencepiece library.
#pragma once
#include <sentencepiece_processor.h>

#include "caprl/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/detokenizer.h"
#include "text/vocabulary.h"

namespace caprl {

class SentencePieceTokenizer : public Tokenizer {
 public:
  /// Control pieces ("<s>") are added tokens, and so are those of `config`, a tokenizer_config.json
  /// that may be missing. InputError if a file is damaged or they contradict each other.
  SentencePieceTokenizer(const std::filesystem::path& model, const std::filesystem::path& config);

  /// InputError if `parse_special` is false and the model itself makes an added token of a text.
  std::vector<int64_t> encode(std::string_view text, bool parse_special) const override;
  void encode_plain(std::string_view text, bool is_start, std::vector<int64_t>& ids) const override;
  std::unique_ptr<TokenStream> stream(bool skip_special) const override;
  std::optional<int64_t> token_id(std::string_view token) const override;
  std::optional<std::string> find_added_token(std::string_view text) const override;
  const std::vector<int64_t>& added_ids() const override { return added_ids_; }
  const std::vector<int64_t>& prefix_ids() const override { return prefix_ids_; }
  int64_t vocab_size() const override { return vocabulary_.num_ids(); }

 private:
  void load(const std::filesystem::path& model);
  void read_pieces(const std::filesystem::path& model);
  void read_config(const std::filesystem::path& config);
  void make_detokenizer();
  int64_t leading_spaces_dropped() const;
  void append_pieces(std::string_view text, std::vector<int64_t>& ids) const;

  sentencepiece::SentencePieceProcessor processor_;
  Vocabulary vocabulary_;
  std::vector<AddedToken> tokens_;  // added ones, while loading
  AddedTokens added_tokens_;
  std::vector<int64_t> added_ids_;
  std::vector<int64_t> prefix_ids_;
  Detokenizer detokenizer_;
};

}  // namespace caprl
