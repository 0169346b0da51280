// The byte-level alphabet of GPT-2: each byte has a printable character, so that vocabularies can
// be text files.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace caprl {

/// UTF-8 of the character that stands for the byte: itself where printable, else U+0100 and up.
std::string byte_level_char(uint8_t byte);
std::string byte_level_encode(std::string_view bytes);

/// The bytes that a token stands for. A token with a character outside the alphabet stands for its
/// own UTF-8, as in Hugging Face's ByteLevel decoder.
std::string byte_level_decode(std::string_view token);

}  // namespace caprl
