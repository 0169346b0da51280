#include "caprl/core/philox.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "kernels/math/philox.h"

namespace caprl {
namespace {

/// SplitMix64's finalizer (Steele et al., OOPSLA 2014): a bijection that mixes every bit.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::array<uint32_t, 4> words(const kernels::PhiloxBlock& block) {
  return {block.words[0], block.words[1], block.words[2], block.words[3]};
}

}  // namespace

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  return words(
      kernels::philox4x32_10({counter[0], counter[1], counter[2], counter[3]}, key[0], key[1]));
}

CounterRng::CounterRng(uint64_t seed, RandomPurpose purpose, std::initializer_list<uint64_t> ids)
    : key_(mix(mix(seed) ^ static_cast<uint64_t>(purpose))) {
  for (const uint64_t id : ids) key_ = mix(key_ ^ mix(id));
}

std::array<uint32_t, 4> CounterRng::block(uint64_t high, uint64_t low) const {
  return words(kernels::philox_block(key_, high, low));
}

double CounterRng::uniform(uint64_t high, uint64_t low) const {
  return (static_cast<double>(block(high, low)[0]) + 0.5) * 0x1p-32;
}

int64_t CounterRng::below(int64_t n, uint64_t high, uint64_t low) const {
  const auto words = block(high, low);
  const uint64_t bits = static_cast<uint64_t>(words[0]) << 32 | words[1];
  return static_cast<int64_t>(static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(n) >>
                              64);
}

double CounterRng::normal(uint64_t high, uint64_t low) const {
  const auto words = block(high, low);
  const double u = (static_cast<double>(words[0]) + 0.5) * 0x1p-32;
  const double v = (static_cast<double>(words[1]) + 0.5) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

std::vector<int64_t> CounterRng::permutation(int64_t n, uint64_t high) const {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(order[i], order[below(i + 1, high, static_cast<uint64_t>(i))]);
  return order;
}

}  // namespace caprl
