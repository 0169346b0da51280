// Rows of queries in the registers of a warp, and how they see keys and values in shared memory:
// softmax from a single read (online softmax, arXiv 1805.02867) by products on the tensor cores.
#pragma once
#include <device_matrix.h>
#include <stdint.h>

#include "kernels/device.h"
#include "kernels/paged_attention.h"

namespace caprl::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kTileRows = 16;  // of a warp
constexpr int kRowLanes = 4;   // that share a row
constexpr int kTileKeys = 64;  // in shared memory
constexpr int kPadding = 8;    // values after a row in shared memory: its 16 bytes meet other banks

template <int D>
struct Tile {
  Bf16 keys[kTileKeys][D + kPadding], values[kTileKeys][D + kPadding];
};

struct alignas(8) TwoFloats {
  float values[2];
};

/// What the warps of a block leave for one another: softmax without its division. `factor`: to the
/// row's highest top of all warps; `line`: where in Partial it goes.
template <int D>
struct Shares {
  float out[kWarps][kTileRows][D + 8];  // rows begin in other banks
  float top[kWarps][kTileRows], sum[kWarps][kTileRows], factor[kWarps][kTileRows];
  int line[kWarps][kTileRows];
};

/// Of a row that has seen nothing: 2^(−∞ − 0) = 0.
__device__ inline float finite_base(float top) { return top == -INFINITY ? 0.0f : top; }

/// The rows of `partial`: [slots, Hq, D] sums, then [slots, Hq] tops (in powers of 2), then as
/// many weights. A line is slot · Hq + head.
struct Partial {
  float *out, *top, *sum;
  __device__ Partial(const PagedAttention& a)
      : out(a.partial),
        top(out + a.num_slots * a.num_q_heads * a.head_dim),
        sum(top + a.num_slots * a.num_q_heads) {}
};

/// What an AttentionPart says of its tokens and keys, read at once into registers.
struct PartHead {
  int first_token, num_tokens, first_key, num_keys, index;
  __device__ explicit PartHead(const AttentionPart& part)
      : first_token(part.first_token),
        num_tokens(part.num_tokens),
        first_key(part.first_key),
        num_keys(part.num_keys),
        index(part.index) {}
};

__device__ inline uint32_t word_at(const Bf16* values) {
  return *reinterpret_cast<const uint32_t*>(values);
}

/// 16 rows and what they have seen. A lane has columns of rows g and g + 8 (device_matrix.h).
template <int D>
struct Rows {
  uint32_t q[D / 16][4];
  float out[D / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY};  // of scores before they are scaled
  float sum[2] = {0, 0};                  // of the lane's own columns
  int limit[2];                           // keys of the part that a row sees
  int all_see;                            // that each of the 16 sees
  int line[2];                            // of Partial; −1: there is no such row

  /// Row r of the part is token r / group, query head r % group of the block's head.
  __device__ void load(const PagedAttention& a, const PartHead& part, int head, int tile) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int group = static_cast<int>(a.num_q_heads / a.num_kv_heads);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = tile * kTileRows + lane / 4 + 8 * half;
      const bool real = row < part.num_tokens * group;
      const int64_t token = part.first_token + (real ? row / group : 0);
      const int64_t query_head = int64_t{head} * group + (real ? row % group : 0);
      const Bf16* from = a.q + (token * a.num_q_heads + query_head) * D + lane % 4 * 2;
#pragma unroll
      for (int k = 0; k < D / 16; ++k) {
        q[k][half] = real ? word_at(from + 16 * k) : 0;
        q[k][half + 2] = real ? word_at(from + 16 * k + 8) : 0;
      }
      const int seen = real ? a.lengths[token] - part.first_key : part.num_keys;
      limit[half] = seen < part.num_keys ? seen : part.num_keys;
      line[half] =
          real ? static_cast<int>((a.slots[token] + part.index) * a.num_q_heads + query_head) : -1;
    }
    all_see = warp_reduce(limit[0] < limit[1] ? limit[0] : limit[1], Min{});
  }

  /// To new tops.
  __device__ void raise(const float (&best)[2], float scale) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float shrink = exp2f((top[half] - finite_base(best[half])) * scale);
      top[half] = best[half];
      sum[half] *= shrink;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        out[n][2 * half] *= shrink;
        out[n][2 * half + 1] *= shrink;
      }
    }
  }

  /// kPages pages from row `row` of the tile on, whose first key is `first` of the part. `scale`
  /// makes powers of 2 of scores.
  template <int kPages>
  __device__ void see(const Tile<D>& tile, int row, int first, float scale) {
    constexpr int kBlocks = kAttentionPage / 8 * kPages;  // of 8 keys
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    float scores[kBlocks][4] = {};
#pragma unroll
    for (int k = 0; k < D / 16; k += 2) {
#pragma unroll
      for (int n = 0; n < kBlocks; ++n) {
        uint32_t words[4];  // of key g, 32 columns
        load_rows(words, &tile.keys[row + 8 * n + lane % 8][16 * k + lane / 8 * 8]);
        multiply_add_16x8x16(scores[n], q[k], {words[0], words[1]});
        multiply_add_16x8x16(scores[n], q[k + 1], {words[2], words[3]});
      }
    }
    if (first + kPages * kAttentionPage > all_see) hide(scores, first);
    float best[2] = {top[0], top[1]};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int n = 0; n < kBlocks; ++n)
        best[half] = fmaxf(best[half], fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      best[half] = warp_reduce(best[half], Max{}, kRowLanes);
    }
    // Most pages after the first few bring no higher score.
    if (__any_sync(kAllLanes, best[0] > top[0] || best[1] > top[1])) raise(best, scale);
    uint32_t weights[kPages][4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float base = finite_base(top[half]) * scale;
#pragma unroll
      for (int n = 0; n < kBlocks; ++n) {
        const float first_weight = exp2f(fmaf(scores[n][2 * half], scale, -base));
        const float second_weight = exp2f(fmaf(scores[n][2 * half + 1], scale, -base));
        sum[half] += first_weight + second_weight;
        weights[n / 2][half + n % 2 * 2] = rounded_pair(first_weight, second_weight);
      }
    }
#pragma unroll
    for (int page = 0; page < kPages; ++page) {
#pragma unroll
      for (int n = 0; n < D / 8; n += 2) {
        // Keys 0–7 and 8–15 of 8 columns, then of the next 8.
        uint32_t words[4];
        load_transposed(
            words, &tile.values[row + page * kAttentionPage + lane % 16][8 * n + lane / 16 * 8]);
        multiply_add_16x8x16(out[n], weights[page], {words[0], words[1]});
        multiply_add_16x8x16(out[n + 1], weights[page], {words[2], words[3]});
      }
    }
  }

  /// Scores of keys that a row does not see.
  template <int kBlocks>
  __device__ void hide(float (&scores)[kBlocks][4], int first) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (first + 8 * n + 2 * t + i % 2 >= limit[i / 2]) scores[n][i] = -INFINITY;
    }
  }

  /// Tops become powers of 2, sums those of all columns.
  __device__ void finish(float scale) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      top[half] *= scale;
      sum[half] = warp_reduce(sum[half], Add{}, kRowLanes);
    }
  }

  /// Where no other warp has a part of these rows.
  __device__ void write(const Partial& partial) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (line[half] < 0) continue;
      if (t == 0) {
        partial.top[line[half]] = top[half];
        partial.sum[line[half]] = sum[half];
      }
      write_out(partial.out + int64_t{line[half]} * D, half);
    }
  }

  __device__ void leave(Shares<D>& shares) const {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = lane / 4 + 8 * half;
      if (lane % 4 == 0) {
        shares.line[warp][row] = line[half];
        shares.top[warp][row] = top[half];
        shares.sum[warp][row] = sum[half];
      }
      if (line[half] >= 0) write_out(shares.out[warp][row], half);
    }
  }

 private:
  __device__ void write_out(float* to, int half) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
      *reinterpret_cast<TwoFloats*>(to + 8 * n +
                                    2 * t) = {{out[n][2 * half], out[n][2 * half + 1]}};
  }
};

}  // namespace
}  // namespace caprl::kernels
