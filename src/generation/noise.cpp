#include "noise.h"

#include "for_each_isa.h"
#include "kernels/math/fast_math.h"
#include "kernels/math/philox.h"

namespace caprl {
namespace {

constexpr size_t kWords = 4;  // of a Philox block
constexpr size_t kCounters = kNoiseBlock / kWords;

CAPRL_FOR_EACH_ISA void add_noise_at(uint64_t key, uint64_t position, uint64_t first_counter,
                                     float* scores) {
  uint32_t words[kWords][kCounters];
  for (size_t i = 0; i < kCounters; ++i) {
    const kernels::PhiloxBlock block = kernels::philox_block(key, position, first_counter + i);
    for (size_t word = 0; word < kWords; ++word) words[word][i] = block.words[word];
  }
  for (size_t word = 0; word < kWords; ++word)
    for (size_t i = 0; i < kCounters; ++i)
      scores[kWords * i + word] += kernels::gumbel(words[word][i]);
}

}  // namespace

float noise(const CounterRng& rng, uint64_t position, int64_t id) {
  const auto token = static_cast<uint64_t>(id);
  return kernels::gumbel(rng.block(position, token / kWords)[token % kWords]);
}

void add_noise(const CounterRng& rng, uint64_t position, uint64_t first_id,
               std::array<float, kNoiseBlock>& scores) {
  add_noise_at(rng.key(), position, first_id / kWords, scores.data());
}

}  // namespace caprl
