// Numbers that kernels are tested with.
#pragma once
#include <vector>

#include "caprl/core/philox.h"
#include "ops/cpu/kernels.h"

namespace caprl::ops::cpu {

inline std::vector<float> numbers(int64_t count, uint64_t seed) {
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
  std::vector<float> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<float>(rng.normal(static_cast<uint64_t>(i))));
  return result;
}

template <class T>
std::vector<T> as(const std::vector<float>& values) {
  std::vector<T> result;
  for (const float value : values) result.push_back(kernels::from_float<T>(value));
  return result;
}

}  // namespace caprl::ops::cpu
