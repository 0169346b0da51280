#include "text/byte_level.h"

#include <unicode/utf8.h>

#include <array>

namespace caprl {
namespace {

constexpr int32_t kNumCodePoints = 256 + 68;  // 188 bytes stand for themselves, 68 are moved

bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<int32_t, 256> code_point_of_byte;
  std::array<int32_t, kNumCodePoints> byte_of_code_point;

  Alphabet() {
    byte_of_code_point.fill(-1);
    int32_t moved = 256;
    for (int byte = 0; byte < 256; ++byte) {
      code_point_of_byte[byte] = is_printable(byte) ? byte : moved++;
      byte_of_code_point[code_point_of_byte[byte]] = byte;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string byte_level_char(uint8_t byte) {
  const int32_t code_point = alphabet().code_point_of_byte[byte];
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 63))};
}

std::string byte_level_encode(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes) token += byte_level_char(static_cast<uint8_t>(byte));
  return token;
}

std::string byte_level_decode(std::string_view token) {
  std::string bytes;
  const auto length = static_cast<int32_t>(token.size());
  for (int32_t at = 0; at < length;) {
    UChar32 code_point = 0;
    U8_NEXT(token.data(), at, length, code_point);
    const int32_t byte = code_point >= 0 && code_point < kNumCodePoints
                             ? alphabet().byte_of_code_point[code_point]
                             : -1;
    if (byte < 0) return std::string(token);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace caprl
