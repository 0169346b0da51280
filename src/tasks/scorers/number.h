// Numbers as charts and questions write them.
#pragma once
#include <optional>
#include <string_view>

namespace caprl {

struct Number {
  double value = 0;  // of "12%" it is 12
  bool is_percent = false;
  double plain() const { return is_percent ? value / 100 : value; }
};

/// A sign, a currency mark, digits (in groups of three by commas, or not), decimals, an exponent, a
/// percent sign; nothing else but spaces at the ends and around the marks.
std::optional<Number> parse_number(std::string_view text);

}  // namespace caprl
