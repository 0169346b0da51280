#include "caprl/text/placeholders.h"

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {

std::string fill_in(std::string_view text, std::span<const Filling> fillings) {
  std::string filled;
  for (size_t i = 0; i < text.size();) {
    const auto found = std::find_if(fillings.begin(), fillings.end(), [&](const Filling& filling) {
      return text.substr(i).starts_with(filling.first);
    });
    if (found == fillings.end()) {
      filled += text[i++];
    } else {
      filled += found->second;
      i += found->first.size();
    }
  }
  return filled;
}

void require_placeholder(std::string_view text, std::string_view placeholder,
                         std::string_view where) {
  if (text.find(placeholder) == std::string_view::npos)
    throw InputError("{}: expected the placeholder {}, got none", where, placeholder);
}

}  // namespace caprl
