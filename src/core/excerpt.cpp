#include "caprl/core/excerpt.h"

namespace caprl {

std::string excerpt(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t size = most;
  while (size > 0 && (text[size] & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size)) + "…";
}

}  // namespace caprl
