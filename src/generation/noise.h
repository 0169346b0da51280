// The Gumbel noise of a sampled token: of token v, of word v mod 4 of the block at counter
// (position, v / 4). The same bits on every CPU.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "caprl/core/philox.h"

namespace caprl {

inline constexpr std::size_t kNoiseBlock = 64;  // tokens whose noise is made together

float noise(const CounterRng& rng, uint64_t position, int64_t id);

/// What the noise of kNoiseBlock tokens from `first_id` on, a multiple of it, is made of.
class NoiseWords {
 public:
  NoiseWords(const CounterRng& rng, uint64_t position, uint64_t first_id);
  /// No noise of these is above it; cheaper than they are.
  float upper_bound() const;
  /// scores[i] += noise of token first_id + i.
  void add_to(std::array<float, kNoiseBlock>& scores) const;

 private:
  static constexpr std::size_t kWords = 4;  // of a Philox block
  std::array<std::array<uint32_t, kNoiseBlock / kWords>, kWords> words_;
};

}  // namespace caprl
