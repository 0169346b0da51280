// Numbers as people read them.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

namespace caprl {

/// "7.5 GB", "310 MB", "12 kB", by powers of ten.
inline std::string bytes_text(double bytes) {
  for (const auto& [unit, size] :
       {std::pair{"TB", 1e12}, std::pair{"GB", 1e9}, std::pair{"MB", 1e6}})
    if (bytes >= size)
      return fmt::format("{:.{}f} {}", bytes / size, bytes / size < 10 ? 1 : 0, unit);
  return fmt::format("{:.0f} kB", bytes / 1e3);
}

/// "75,285"
inline std::string count_text(int64_t count) {
  std::string text = std::to_string(count);
  for (auto place = static_cast<int64_t>(text.size()) - 3; place > (count < 0 ? 1 : 0); place -= 3)
    text.insert(static_cast<size_t>(place), ",");
  return text;
}

}  // namespace caprl
