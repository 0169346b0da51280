// The symbols that byte pair encoding starts from: bytes, or characters with bytes in their stead.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace caprl {

/// Ids of single symbols. As in Hugging Face, what has none is left out if there is no `unknown`.
struct Symbols {
  bool byte_level = false;  // each byte is a symbol, else each code point
  /// By byte; −1 if it has no token. With characters: the tokens "<0x00>" to "<0xFF>" that stand in
  /// for a character which has none (`byte_fallback`), if all of its bytes have one.
  std::array<int32_t, 256> bytes = no_bytes();
  std::unordered_map<std::string, int32_t> characters;  // UTF-8 of one code point
  std::optional<int32_t> unknown;
  bool fuse_unknown = false;  // neighbouring unknown symbols are one

  /// Appends the ids of valid UTF-8.
  void append(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  static constexpr std::array<int32_t, 256> no_bytes() {
    std::array<int32_t, 256> none{};
    none.fill(-1);
    return none;
  }
};

}  // namespace caprl
