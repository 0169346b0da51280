// Golden data of tools/golden/image.py and the images it is about.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/image/image.h"
#include "caprl/io/json.h"
#include "support/errors.h"

namespace caprl {

inline std::filesystem::path image_data(const std::string& name) {
  return std::filesystem::path(CAPRL_TEST_FILES) / "image" / name;
}

/// The same bytes as the script's lcg_image: a smooth ramp plus a generator's high bits.
inline RgbImage lcg_image(int64_t width, int64_t height, uint32_t seed) {
  RgbImage image{width, height, std::vector<uint8_t>(3 * width * height)};
  uint32_t state = seed;
  for (int64_t i = 0; i < 3 * width * height; ++i) {
    state = state * 1664525u + 1013904223u;
    const uint32_t noise = state >> 24;
    const int64_t place = i / 3, x = place % width, y = place / width;
    const auto ramp = static_cast<uint32_t>(x * 200 / width + y * 55 / height);
    image.pixels[i] = static_cast<uint8_t>(place % 3 == 0 ? noise : ramp + noise / 8);
  }
  return image;
}

/// The script's wide_hash.
inline uint64_t wide_hash(const std::vector<uint8_t>& bytes) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < bytes.size(); ++i)
    sum += (bytes[i] + 1ull) * (i * 6364136223846793005ull + 1442695040888963407ull);
  return sum;
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace caprl
