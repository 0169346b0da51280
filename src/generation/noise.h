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
/// Adds the noise of kNoiseBlock tokens from `first_id` on, a multiple of it, to their scores.
void add_noise(const CounterRng& rng, uint64_t position, uint64_t first_id,
               std::array<float, kNoiseBlock>& scores);

}  // namespace caprl
