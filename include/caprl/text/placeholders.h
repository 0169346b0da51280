// Texts with places to fill in.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace caprl {

/// A placeholder, such as "{caption}", and what stands in its place.
using Filling = std::pair<std::string_view, std::string_view>;

/// Fills all placeholders in one pass, so that a value that spells a placeholder is only text.
std::string fill_in(std::string_view text, std::span<const Filling> fillings);

/// InputError "WHERE: …" if the text lacks the placeholder.
void require_placeholder(std::string_view text, std::string_view placeholder,
                         std::string_view where);

}  // namespace caprl
