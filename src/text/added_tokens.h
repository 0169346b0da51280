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

struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool special = false;
};

/// Finds added tokens: the leftmost one, and of those that start there the longest.
class AddedTokens {
 public:
  struct Match {
    size_t start = 0;
    const AddedToken* token = nullptr;
  };

  AddedTokens() = default;
  /// Contents are distinct and not empty.
  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(const AddedTokens&) = delete;  // buckets point into tokens_
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;

  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  std::vector<AddedToken> tokens_;
  std::array<std::vector<const AddedToken*>, 256> by_first_byte_;  // longest first
};

}  // namespace caprl
