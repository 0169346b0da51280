// Where a parameter's random numbers are.
#pragma once
#include <cstdint>
#include <string_view>

namespace caprl {

/// FNV-1a, 64 bit.
constexpr uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace caprl
