#include "text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <limits>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "text/tokenizer_json.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

constexpr const char* kSpace = "\u2581";

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& model,
                                               const std::filesystem::path& config) {
  load(model);
  read_pieces(model);
  if (processor_.bos_id() >= 0) prefix_ids_ = {processor_.bos_id()};
  if (std::filesystem::exists(config)) read_config(config);
  for (const AddedToken& token : tokens_) added_ids_.push_back(token.id);
  std::sort(added_ids_.begin(), added_ids_.end());
  make_detokenizer();
  added_tokens_ = AddedTokens(std::move(tokens_));
}

void SentencePieceTokenizer::load(const std::filesystem::path& model) {
  std::string problem;
  try {
    const auto status = processor_.LoadFromSerializedProto(read_file(model));
    if (!status.ok())
      problem = status.message();
    else if (processor_.GetPieceSize() == 0)
      problem = "it has no pieces";
  } catch (const InputError&) {  // the file cannot be read
    throw;
  } catch (const std::exception& error) {  // of the library's parts
    problem = error.what();
  }
  if (!problem.empty())
    throw InputError("{}: expected a model of sentencepiece: {}", model.string(), problem);
}

void SentencePieceTokenizer::read_pieces(const std::filesystem::path& model) {
  for (int id = 0; id < processor_.GetPieceSize(); ++id) {
    const std::string& piece = processor_.IdToPiece(id);
    vocabulary_.add(piece, id, fmt::format("{}: piece {}", model.string(), id));
    if ((processor_.IsControl(id) || processor_.IsUnknown(id)) && !piece.empty())
      tokens_.push_back({piece, id, true});
  }
}

void SentencePieceTokenizer::read_config(const std::filesystem::path& config) {
  const auto content = read_json(config);
  const JsonPlace root{&content, config.string() + ": "};
  if (!root.member("add_bos_token").boolean_or(true)) prefix_ids_.clear();
  for (AddedToken& token : read_added_tokens_decoder(config)) {
    std::erase_if(tokens_, [&](const AddedToken& other) {
      return other.id == token.id || other.content == token.content;
    });
    vocabulary_.add_or_rename(
        token.content, token.id,
        fmt::format("{}: added_tokens_decoder[\"{}\"]", config.string(), token.id));
    tokens_.push_back(std::move(token));
  }
}

void SentencePieceTokenizer::make_detokenizer() {
  DetokenizerRules rules;
  rules.invalid = DetokenizerRules::Invalid::kEachByte;
  rules.replacements = {{kSpace, " "}};
  rules.byte_fallback = true;
  rules.strip.assign(1, ' ');
  rules.num_strip = leading_spaces_dropped();
  std::vector<TokenText> texts(static_cast<size_t>(vocabulary_.num_ids()));
  for (const auto& [token, id] : vocabulary_.tokens()) texts[id] = rules.token_text(token);
  for (const AddedToken& token : tokens_) texts[token.id] = {token.content, false, token.special};
  detokenizer_ = Detokenizer(std::move(rules), std::move(texts));
}

/// Found by trying it out: the library does not show the model's settings.
int64_t SentencePieceTokenizer::leading_spaces_dropped() const {
  const int space = processor_.PieceToId(kSpace);
  if (processor_.IsUnknown(space)) return 1;
  const std::string left = processor_.DecodeIds({space, space});
  return left.empty() ? std::numeric_limits<int64_t>::max() : 2 - static_cast<int64_t>(left.size());
}

std::vector<int64_t> SentencePieceTokenizer::encode(std::string_view text,
                                                    bool parse_special) const {
  std::vector<int64_t> ids;
  if (!parse_special) {
    encode_plain(text, true, ids);
    return ids;
  }
  check_utf8(text);
  added_tokens_.split(
      text, [&](std::string_view plain, size_t) { append_pieces(plain, ids); },
      [&](const AddedToken& token) { ids.push_back(token.id); });
  return ids;
}

void SentencePieceTokenizer::encode_plain(std::string_view text, bool /*is_start*/,
                                          std::vector<int64_t>& ids) const {
  check_utf8(text);
  const size_t before = ids.size();
  append_pieces(text, ids);
  for (size_t i = before; i < ids.size(); ++i) {
    if (ids[i] != processor_.unk_id() &&
        std::binary_search(added_ids_.begin(), added_ids_.end(), ids[i]))
      throw InputError("the text contains the reserved token \"{}\"",
                       *vocabulary_.spelling(ids[i]));
  }
}

void SentencePieceTokenizer::append_pieces(std::string_view text, std::vector<int64_t>& ids) const {
  std::vector<int> pieces;
  const auto status = processor_.Encode(text, &pieces);
  if (!status.ok()) throw Error("sentencepiece: {}", status.message());
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

std::unique_ptr<TokenStream> SentencePieceTokenizer::stream(bool skip_special) const {
  return detokenizer_.stream(skip_special);
}

std::optional<int64_t> SentencePieceTokenizer::token_id(std::string_view token) const {
  return vocabulary_.find(token);
}

std::optional<std::string> SentencePieceTokenizer::find_added_token(std::string_view text) const {
  const auto match = added_tokens_.find(text, 0);
  if (!match) return std::nullopt;
  return match->token->content;
}

}  // namespace caprl
