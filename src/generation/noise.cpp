#include "noise.h"

#include <algorithm>

#include "for_each_isa.h"
#include "kernels/math/fast_math.h"
#include "kernels/math/philox.h"

namespace caprl {
namespace {

constexpr size_t kWords = 4, kCounters = kNoiseBlock / kWords;
using Words = std::array<std::array<uint32_t, kCounters>, kWords>;

CAPRL_FOR_EACH_ISA void draw(uint64_t key, uint64_t position, uint64_t first_counter,
                             Words& words) {
  for (size_t i = 0; i < kCounters; ++i) {
    const kernels::PhiloxBlock block = kernels::philox_block(key, position, first_counter + i);
    for (size_t word = 0; word < kWords; ++word) words[word][i] = block.words[word];
  }
}

CAPRL_FOR_EACH_ISA uint32_t lowest(const Words& words) {
  std::array<uint32_t, kCounters> of_counters = words[0];
  for (size_t word = 1; word < kWords; ++word)
    for (size_t i = 0; i < kCounters; ++i)
      of_counters[i] = words[word][i] < of_counters[i] ? words[word][i] : of_counters[i];
  return *std::min_element(of_counters.begin(), of_counters.end());
}

CAPRL_FOR_EACH_ISA void add_noise(const Words& words, float* scores) {
  for (size_t word = 0; word < kWords; ++word)
    for (size_t i = 0; i < kCounters; ++i)
      scores[kWords * i + word] += kernels::gumbel(words[word][i]);
}

}  // namespace

float noise(const CounterRng& rng, uint64_t position, int64_t id) {
  const auto token = static_cast<uint64_t>(id);
  return kernels::gumbel(rng.block(position, token / kWords)[token % kWords]);
}

NoiseWords::NoiseWords(const CounterRng& rng, uint64_t position, uint64_t first_id) {
  draw(rng.key(), position, first_id / kWords, words_);
}

float NoiseWords::upper_bound() const {
  constexpr float kRounding = 1e-4f;  // gumbel() falls with its word, but for 1e-5
  return kernels::gumbel(lowest(words_)) + kRounding;
}

void NoiseWords::add_to(std::array<float, kNoiseBlock>& scores) const {
  add_noise(words_, scores.data());
}

}  // namespace caprl
