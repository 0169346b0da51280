// UTF-8 checks and normalisation, on top of ICU.
#pragma once
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

}  // namespace caprl
