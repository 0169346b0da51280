// UTF-8 checks and normalisation, on top of ICU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace caprl {

/// InputError naming the first bad byte if the text is not valid UTF-8, or beyond 1 GiB.
void check_utf8(std::string_view text);

/// Each maximal ill-formed sequence of bytes becomes one U+FFFD (Unicode's recommended practice,
/// as Rust's from_utf8_lossy does it).
std::string replace_invalid_utf8(std::string_view bytes);

/// Normalisation form C of valid UTF-8, with the characters of Unicode 9 (as Hugging Face's NFC has
/// it).
std::string normalize_nfc(std::string_view text);
/// Form KC, likewise.
std::string normalize_nfkc(std::string_view text);

/// Bytes of the code point that starts with `lead`, in valid UTF-8.
constexpr size_t utf8_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Without the white space at its ends, as Python's str.strip() has it.
std::string_view strip_space(std::string_view text, bool left, bool right);

/// Bytes before a code point whose end is still missing: the text that can be shown already.
size_t complete_utf8(std::string_view bytes);

}  // namespace caprl
