// Base64 (RFC 4648) of embedded images.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

namespace caprl {

/// InputError starting with `where` for anything but padded standard base64.
std::vector<std::byte> decode_base64(std::string_view text, std::string_view where);

}  // namespace caprl
