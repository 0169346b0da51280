#include "tasks/scorers/number.h"

#include <cmath>
#include <cstdlib>
#include <string>

#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool take(std::string_view& text, std::initializer_list<std::string_view> marks) {
  for (const std::string_view mark : marks)
    if (text.starts_with(mark)) {
      text = trim(text.substr(mark.size()));
      return true;
    }
  return false;
}

size_t count_digits(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return count;
}

/// The digits before the point, without the commas of their groups; false for groups of another
/// size.
bool take_whole(std::string_view& text, std::string& digits) {
  size_t count = count_digits(text);
  digits.append(text.substr(0, count));
  text.remove_prefix(count);
  if (count == 0 || count > 3) return !text.starts_with(',');
  while (text.starts_with(',')) {
    count = count_digits(text.substr(1));
    if (count != 3) return false;
    digits.append(text.substr(1, count));
    text.remove_prefix(1 + count);
  }
  return true;
}

void take_exponent(std::string_view& text, std::string& digits) {
  if (!text.starts_with('e') && !text.starts_with('E')) return;
  const size_t sign = text.size() > 1 && (text[1] == '-' || text[1] == '+') ? 1 : 0;
  const size_t count = count_digits(text.substr(1 + sign));
  if (count == 0) return;
  digits.append(text.substr(0, 1 + sign + count));
  text.remove_prefix(1 + sign + count);
}

}  // namespace

std::optional<Number> parse_number(std::string_view text) {
  text = trim(text);
  Number number;
  number.is_percent = text.ends_with('%');
  if (number.is_percent) text.remove_suffix(text.ends_with("\\%") ? 2 : 1);
  text = trim(text);
  bool negative = take(text, {"-", "−"});
  if (!negative) take(text, {"+"});
  const bool has_currency = take(text, {"\\$", "$", "€", "£", "¥"});
  if (has_currency && !negative) negative = take(text, {"-", "−"});
  std::string digits;
  if (!take_whole(text, digits)) return std::nullopt;
  if (text.starts_with('.')) {
    const size_t count = count_digits(text.substr(1));
    if (digits.empty() && count == 0) return std::nullopt;
    digits.append(text.substr(0, 1 + count));
    text.remove_prefix(1 + count);
  }
  if (digits.empty()) return std::nullopt;
  take_exponent(text, digits);
  if (!text.empty()) return std::nullopt;
  const double magnitude = std::strtod(digits.c_str(), nullptr);
  if (!std::isfinite(magnitude)) return std::nullopt;
  number.value = negative ? -magnitude : magnitude;
  return number;
}

}  // namespace caprl
