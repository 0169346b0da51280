// The beginning of a text, for messages.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace caprl {

/// `text`, or what fits into `most` bytes of it with "…" after it: no UTF-8 character is cut in
/// two.
std::string excerpt(std::string_view text, size_t most);

}  // namespace caprl
