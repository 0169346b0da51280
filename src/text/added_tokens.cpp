#include "text/added_tokens.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

namespace caprl {
namespace {

/// Start of the white space that ends at `end`, not before `from`.
size_t before_space(std::string_view text, size_t from, size_t end) {
  auto at = static_cast<int32_t>(end);
  while (at > static_cast<int32_t>(from)) {
    const int32_t after = at;
    UChar32 code_point = 0;
    U8_PREV(text.data(), static_cast<int32_t>(from), at, code_point);
    if (!u_isUWhiteSpace(code_point)) return static_cast<size_t>(after);
  }
  return static_cast<size_t>(at);
}

size_t after_space(std::string_view text, size_t start) {
  auto at = static_cast<int32_t>(start);
  const auto length = static_cast<int32_t>(text.size());
  while (at < length) {
    const int32_t before = at;
    UChar32 code_point = 0;
    U8_NEXT(text.data(), at, length, code_point);
    if (!u_isUWhiteSpace(code_point)) return static_cast<size_t>(before);
  }
  return static_cast<size_t>(at);
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (const AddedToken& token : tokens_)
    by_first_byte_[static_cast<uint8_t>(token.content.front())].push_back(&token);
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (size_t at = from; at < text.size(); ++at) {
    for (const AddedToken* token : by_first_byte_[static_cast<uint8_t>(text[at])]) {
      if (!text.substr(at).starts_with(token->content)) continue;
      const size_t end = at + token->content.size();
      return Match{token->lstrip ? before_space(text, from, at) : at,
                   token->rstrip ? after_space(text, end) : end, token};
    }
  }
  return std::nullopt;
}

}  // namespace caprl
