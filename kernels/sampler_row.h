// A row of logits as the sampler goes over it, and how its tokens are ranked.
#pragma once
#include <float.h>
#include <math.h>

#include "kernels/device.h"
#include "kernels/math/fast_math.h"

namespace caprl::kernels {

inline constexpr float kNever = -INFINITY;

/// The row of one block.
struct TokenRow {
  const float* logits;
  const uint32_t* banned;  // null: no token
  int vocab;
  float temperature;
  bool wide;  // the row is aligned to 16 bytes

  __device__ float scaled(float logit) const {
    return temperature == 1.0f ? logit : logit / temperature;
  }
};

/// x of four tokens, the first one's id a multiple of 4. −∞ past the row's end.
struct Tokens {
  int first;
  float x[4];

  __device__ float highest() const { return fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3])); }
  __device__ void drop_banned(const uint32_t* banned) {
    if (!banned) return;
    const uint32_t bits = banned[first / 32] >> (first % 32);
    for (int i = 0; i < 4; ++i)
      if (bits >> i & 1u) x[i] = kNever;
  }
};

__device__ inline Pack<float> load_tokens(const TokenRow& row, int first) {
  if (row.wide && first + 4 <= row.vocab) return load_pack(row.logits + first);
  Pack<float> pack;
  for (int i = 0; i < 4; ++i)
    pack.values[i] = first + i < row.vocab ? row.logits[first + i] : kNever;
  return pack;
}

/// Calls visit(tokens) for the thread's part of the row, ids ascending. So many loads are on their
/// way before the first is used: 4 keep memory busy where visits are short.
template <int kInFlight, class Visit>
__device__ void for_each_tokens(const TokenRow& row, Visit visit) {
  const int step = 4 * static_cast<int>(blockDim.x);
  for (int begin = 4 * static_cast<int>(threadIdx.x); begin < row.vocab;
       begin += kInFlight * step) {
    Pack<float> packs[kInFlight];
    for (int k = 0; k < kInFlight; ++k)
      if (begin + k * step < row.vocab) packs[k] = load_tokens(row, begin + k * step);
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      if (begin + k * step >= row.vocab) continue;
      Tokens tokens{begin + k * step, {}};
      for (int i = 0; i < 4; ++i) tokens.x[i] = row.scaled(packs[k].values[i]);
      visit(tokens);
    }
  }
}

/// The same without banned tokens: they are −∞.
template <class Visit>
__device__ void for_each_allowed(const TokenRow& row, Visit visit) {
  for_each_tokens<2>(row, [&](Tokens& tokens) {
    tokens.drop_banned(row.banned);
    visit(tokens);
  });
}

/// Bits that compare as the floats do, −0 being 0.
__device__ inline uint32_t ordered_bits(float x) {
  const uint32_t bits = x == 0.0f ? 0u : bits_of(x);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ inline float float_of_ordered(uint32_t bits) {
  return float_of(bits >> 31 ? bits & 0x7fffffffu : ~bits);
}

/// Greater for a greater x, of equal ones for the lower id.
__device__ inline uint64_t rank_of(float x, int id) {
  return static_cast<uint64_t>(ordered_bits(x)) << 32 | ~static_cast<uint32_t>(id);
}
/// No x above −∞ ranks below it, −∞ does.
inline constexpr uint64_t kLowestRank = uint64_t{0x00800000u} << 32;
__device__ inline int id_of_rank(uint64_t rank) {
  return static_cast<int>(~static_cast<uint32_t>(rank));
}
__device__ inline float x_of_rank(uint64_t rank) {
  return float_of_ordered(static_cast<uint32_t>(rank >> 32));
}

}  // namespace caprl::kernels
