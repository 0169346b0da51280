// Base64 (RFC 4648), as images are embedded.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// Padded, without line ends.
std::string encode_base64(std::span<const std::byte> bytes);

/// InputError starting with `where` for anything but padded standard base64.
std::vector<std::byte> decode_base64(std::string_view text, std::string_view where);

}  // namespace caprl
