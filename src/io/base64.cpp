#include "caprl/io/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> inverse_alphabet() {
  std::array<int8_t, 256> inverse{};
  inverse.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    inverse[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return inverse;
}

}  // namespace

std::string encode_base64(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < count ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= count ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::vector<std::byte> decode_base64(std::string_view text, std::string_view where) {
  static constexpr auto kInverse = inverse_alphabet();
  if (text.size() % 4 != 0)
    throw InputError("{}: expected base64 of a multiple of 4 characters, got {}", where,
                     text.size());
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_padding = i >= text.size() - padding;
    const int8_t value = is_padding ? 0 : kInverse[static_cast<uint8_t>(text[i])];
    if (value < 0)
      throw InputError("{}: expected base64, got character code {} at place {}", where,
                       static_cast<int>(static_cast<uint8_t>(text[i])), i);
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (i % 4 == 3)
      for (int shift = 16; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::byte>(bits >> shift & 0xff));
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

}  // namespace caprl
