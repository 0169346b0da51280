// The tiny models of every family that tools/golden/families.py has made, and their prompts.
#pragma once
#include <cmath>

#include "model_files.h"

namespace caprl::test {

using nlohmann::json;

inline const json& families() {
  static const json all = read_json(model_dir("families.json"));
  return all;
}

/// Numbers from -0.5 to 0.5: SplitMix64 of (FNV-1a of the name) + place, 24 bits of it.
inline std::vector<double> uniform(std::string_view name, int64_t count) {
  uint64_t seed = 0xcbf29ce484222325;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::vector<double> numbers;
  for (int64_t i = 1; i <= count; ++i) {
    uint64_t x = seed + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
    numbers.push_back(static_cast<double>(x >> 40) / 16777216.0 - 0.5);
  }
  return numbers;
}

inline at::Tensor values(const ParameterSpec& spec) {
  int64_t count = 1, fan_in = 1;
  for (size_t d = 0; d < spec.shape.size(); ++d) {
    count *= spec.shape[d];
    if (d > 0) fan_in *= spec.shape[d];
  }
  std::vector<double> numbers = uniform(spec.name, count);
  for (double& u : numbers) {
    if (spec.name.ends_with("bias"))
      u = 0.3 * u;
    else if (spec.shape.size() == 1)
      u = 1 + 0.3 * u;
    else if (spec.shape.size() == 2 && spec.name.find("embed") != std::string::npos)
      u = 0.7 * u;
    else
      u *= 3.4 / std::sqrt(static_cast<double>(fan_in));
  }
  return at::tensor(numbers, at::kDouble).to(at::kFloat).view(spec.shape);
}

inline Prompt prompt_of(const json& row, const json& one) {
  Prompt prompt{one["prompt"].get<std::vector<int64_t>>(), {}};
  const int64_t columns = row["columns"];
  int64_t rows = 0;
  for (const json& grid : one["grids"])
    rows += grid[0].get<int64_t>() * grid[1].get<int64_t>() * grid[2].get<int64_t>();
  const std::vector<double> pixels = uniform("pixels", rows * columns);
  auto next = pixels.begin();
  for (const json& grid : one["grids"]) {
    ImagePatches image;
    image.grid_t = grid[0], image.grid_h = grid[1], image.grid_w = grid[2];
    image.columns = columns;
    for (int64_t i = 0; i < image.rows() * columns; ++i)
      image.values.push_back(static_cast<float>(4 * *next++));
    prompt.images.push_back(std::make_shared<const ImagePatches>(std::move(image)));
  }
  return prompt;
}

/// As part of a test's name.
inline std::string family_name(size_t index) {
  std::string name = families()[index]["name"];
  std::erase_if(name, [](char c) { return !std::isalnum(c); });
  return name;
}

}  // namespace caprl::test
