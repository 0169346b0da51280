#include "text/added_tokens.h"

#include <algorithm>

namespace caprl {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (const AddedToken& token : tokens_)
    by_first_byte_[static_cast<uint8_t>(token.content.front())].push_back(&token);
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    for (const AddedToken* token : by_first_byte_[static_cast<uint8_t>(text[at])]) {
      if (text.substr(at).starts_with(token->content)) return Match{at, token};
    }
  }
  return std::nullopt;
}

}  // namespace caprl
