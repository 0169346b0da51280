#include "text/bpe_tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "text/unicode_text.h"

namespace caprl {
namespace {

/// Ordinary text must not become an added token, not even by merging: some published vocabularies
/// merge "<s" and ">" to "<s>".
BpeParts without_added(BpeParts parts, const std::vector<AddedToken>& added) {
  std::unordered_set<int32_t> ids;
  for (const AddedToken& token : added) ids.insert(static_cast<int32_t>(token.id));
  std::erase_if(parts.merges, [&](const PairMerge& merge) { return ids.contains(merge.product); });
  std::erase_if(parts.whole_words, [&](const auto& word) { return ids.contains(word.second); });
  return parts;
}

/// None where it would change ids: a character that is left out lets its neighbours merge, and a
/// word that is looked up whole may need no merges.
std::optional<SpaceSplitter> make_splitter(const BpeParts& parts, const Vocabulary& vocabulary) {
  const Symbols& symbols = parts.symbols;
  const bool leaves_out =
      !symbols.unknown && std::count(symbols.bytes.begin(), symbols.bytes.end(), -1) > 0;
  if (symbols.byte_level || leaves_out || !parts.whole_words.empty()) return std::nullopt;
  if (!vocabulary.find("\u2581")) return std::nullopt;
  SpaceSplitter splitter;
  for (const auto& [token, id] : vocabulary.tokens()) splitter.add_token(token);
  splitter.finish();
  return splitter;
}

}  // namespace

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts)
    : normalizer_(std::move(parts.normalizer)),
      pretokenizer_(std::move(parts.pretokenizer)),
      vocabulary_(std::move(parts.vocabulary)),
      prefix_ids_(std::move(parts.prefix_ids)),
      splitter_(make_splitter(parts.bpe, vocabulary_)),
      bpe_(without_added(std::move(parts.bpe), parts.added_tokens)) {
  make_detokenizer(std::move(parts.detokenizer), parts.added_tokens);
  sort_added_tokens(std::move(parts.added_tokens));
}

void BpeTokenizer::make_detokenizer(DetokenizerRules rules, const std::vector<AddedToken>& added) {
  std::vector<TokenText> tokens(static_cast<size_t>(vocabulary_.num_ids()));
  for (const auto& [token, id] : vocabulary_.tokens()) tokens[id] = rules.token_text(token);
  for (const AddedToken& token : added) tokens[token.id].special = token.special;
  detokenizer_ = Detokenizer(std::move(rules), std::move(tokens));
}

void BpeTokenizer::sort_added_tokens(std::vector<AddedToken> tokens) {
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (const AddedToken& token : tokens) {
    added_ids_.push_back(token.id);
    if (!token.normalized) {
      raw.push_back(token);
      continue;
    }
    std::string buffer;
    normalized.push_back(token);
    normalized.back().content = normalizer_.apply(token.content, buffer);
  }
  std::sort(added_ids_.begin(), added_ids_.end());
  added_tokens_ = AddedTokens(std::move(tokens));
  raw_tokens_ = AddedTokens(std::move(raw));
  normalized_tokens_ = AddedTokens(std::move(normalized));
}

std::vector<int64_t> BpeTokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<int64_t> ids;
  if (!parse_special) {
    encode_plain(text, true, ids);
    return ids;
  }
  check_utf8(text);
  raw_tokens_.split(
      text,
      [&](std::string_view plain, size_t start) { encode_segment(plain, start == 0, true, ids); },
      [&](const AddedToken& token) { ids.push_back(token.id); });
  return ids;
}

void BpeTokenizer::encode_plain(std::string_view text, bool is_start,
                                std::vector<int64_t>& ids) const {
  check_utf8(text);
  encode_segment(text, is_start, false, ids);
}

void BpeTokenizer::encode_segment(std::string_view text, bool is_start, bool parse_special,
                                  std::vector<int64_t>& ids) const {
  std::string buffer;
  const std::string_view normalized = normalizer_.apply(text, buffer);
  if (!parse_special) {
    encode_words(normalized, is_start, ids);
    return;
  }
  normalized_tokens_.split(
      normalized,
      [&](std::string_view plain, size_t start) {
        encode_words(plain, is_start && start == 0, ids);
      },
      [&](const AddedToken& token) { ids.push_back(token.id); });
}

void BpeTokenizer::encode_words(std::string_view text, bool is_start,
                                std::vector<int64_t>& ids) const {
  const auto encode_word = [&](std::string_view word) { bpe_.encode(word, ids); };
  pretokenizer_.split(text, is_start, [&](std::string_view word) {
    if (splitter_)
      splitter_->split(word, encode_word);
    else
      encode_word(word);
  });
}

std::unique_ptr<TokenStream> BpeTokenizer::stream(bool skip_special) const {
  return detokenizer_.stream(skip_special);
}

std::optional<int64_t> BpeTokenizer::token_id(std::string_view token) const {
  return vocabulary_.find(token);
}

std::optional<std::string> BpeTokenizer::find_added_token(std::string_view text) const {
  const auto match = added_tokens_.find(text, 0);
  if (!match) return std::nullopt;
  return match->token->content;
}

}  // namespace caprl
