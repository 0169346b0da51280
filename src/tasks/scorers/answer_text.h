// What stands around an answer without being part of it.
#pragma once
#include <optional>
#include <string_view>

namespace caprl {

/// Without white space at the ends.
std::string_view trim(std::string_view text);

/// The inside of the braces that begin at `open`; absent if they do not close.
std::optional<std::string_view> braced(std::string_view text, size_t open);

/// Without what encloses the whole of it: $…$, \(…\), \[…\], \boxed{…}, \text{…} and its like,
/// **…**, quotation marks, white space.
std::string_view unwrap(std::string_view text);

std::string_view without_full_stop(std::string_view text);

}  // namespace caprl
