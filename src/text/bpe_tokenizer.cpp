#include "text/bpe_tokenizer.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/unicode_text.h"

namespace caprl {

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts)
    : normalize_nfc_(parts.normalize_nfc),
      pretokenizer_(std::move(parts.pretokenizer)),
      bpe_(std::move(parts.bpe)),
      id_of_token_(std::move(parts.id_of_token)) {
  int64_t highest_id = -1;
  for (const auto& [token, id] : id_of_token_) highest_id = std::max(highest_id, id);
  tokens_.resize(static_cast<size_t>(highest_id + 1));
  for (const auto& [token, id] : id_of_token_) tokens_[id].bytes = byte_level_decode(token);
  for (const AddedToken& token : parts.added_tokens) {
    tokens_[token.id].special = token.special;
    added_ids_.push_back(token.id);
  }
  std::sort(added_ids_.begin(), added_ids_.end());
  added_tokens_ = AddedTokens(std::move(parts.added_tokens));
}

std::vector<int64_t> BpeTokenizer::encode(std::string_view text, bool parse_special) const {
  check_utf8(text);
  std::vector<int64_t> ids;
  size_t done = 0;
  while (parse_special) {
    const auto match = added_tokens_.find(text, done);
    if (!match) break;
    encode_plain(text.substr(done, match->start - done), ids);
    ids.push_back(match->token->id);
    done = match->start + match->token->content.size();
  }
  encode_plain(text.substr(done), ids);
  return ids;
}

void BpeTokenizer::encode_plain(std::string_view text, std::vector<int64_t>& ids) const {
  std::string normalized;
  if (normalize_nfc_) {
    normalized = caprl::normalize_nfc(text);
    text = normalized;
  }
  pretokenizer_.split(text, [&](std::string_view word) { bpe_.encode(word, ids); });
}

std::string BpeTokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size()) continue;
    const Token& token = tokens_[static_cast<size_t>(id)];
    if (!(skip_special && token.special)) bytes += token.bytes;
  }
  return replace_invalid_utf8(bytes);
}

std::optional<int64_t> BpeTokenizer::token_id(std::string_view token) const {
  const auto found = id_of_token_.find(std::string(token));
  if (found == id_of_token_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> BpeTokenizer::find_added_token(std::string_view text) const {
  const auto match = added_tokens_.find(text, 0);
  if (!match) return std::nullopt;
  return match->token->content;
}

}  // namespace caprl
