// Tokens that stand outside the vocabulary's merges and are found in the text before anything else
// ("<|im_end|>").
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// The flags are those of Hugging Face's AddedToken.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool special = false;
  bool normalized = false;  // looked for in the normalised text
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;
};

/// Finds added tokens: the leftmost one, and of those that start there the longest.
class AddedTokens {
 public:
  struct Match {
    size_t start = 0;  // bytes, with the white space that the token takes
    size_t end = 0;
    const AddedToken* token = nullptr;
  };

  AddedTokens() = default;
  /// Contents are distinct and not empty.
  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(const AddedTokens&) = delete;  // buckets point into tokens_
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  std::optional<Match> find(std::string_view text, size_t from) const;

  /// Calls `plain(piece, start)` for the text between the tokens, where there is any, and
  /// `added(token)` for the tokens, in order.
  template <class Plain, class Added>
  void split(std::string_view text, Plain plain, Added added) const {
    size_t done = 0;
    while (const auto match = find(text, done)) {
      if (match->start > done) plain(text.substr(done, match->start - done), done);
      added(*match->token);
      done = match->end;
    }
    if (done < text.size()) plain(text.substr(done), done);
  }

 private:
  std::vector<AddedToken> tokens_;
  std::array<std::vector<const AddedToken*>, 256> by_first_byte_;  // longest first
};

}  // namespace caprl
