// Attention of single tokens over paged keys and values: parts of the keys, then their merging.
//
// Idea: a block takes one part and one head of keys, so that a key is read once for all the query
// heads and tokens that see it: 64 rows for eight captions of an image with eight query heads to a
// head of keys. Keys and values go through shared memory 64 at a time while the next 64 are on
// their way; 70 KB a block leave room for three blocks on a multiprocessor, 100 KB in flight. Rows
// are products of 16 on the tensor cores: a warp has 16 rows and, where there are fewer than 64,
// every second or fourth page. Which keys make a part depends on lengths, shared pages and on how
// many tokens there are.
#include "kernels/paged_attention.h"

#include <device_matrix.h>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kTileRows = 16;  // of a warp
constexpr int kRowLanes = 4;   // that share a row
constexpr int kTileKeys = 64;  // in shared memory
constexpr int kTilePages = kTileKeys / kAttentionPage;
constexpr int kPadding = 8;  // values after a row in shared memory: its 16 bytes meet other banks
constexpr float kLog2e = 1.4426950408889634f;

template <int D>
struct Tile {
  Bf16 keys[kTileKeys][D + kPadding], values[kTileKeys][D + kPadding];
};

/// What the warps of a block leave for one another: softmax without its division. `factor`: to the
/// row's highest top of all warps.
template <int D>
struct Shares {
  float out[kWarps][kTileRows][D + 4];  // rows begin in other banks
  float top[kWarps][kTileRows], sum[kWarps][kTileRows], factor[kWarps][kTileRows];
};

template <int D>
constexpr size_t shared_bytes() {
  return 2 * sizeof(Tile<D>) > sizeof(Shares<D>) ? 2 * sizeof(Tile<D>) : sizeof(Shares<D>);
}

/// Keys beyond the part become zeros: what lies there may be anything. `pages`: the part's.
template <int D>
__device__ void fetch(Tile<D>& tile, const PagedAttention& a, const AttentionPart& part,
                      const int32_t* pages, int first) {
  constexpr int kPacks = D / Pack<Bf16>::kSize;  // of a row
  constexpr int kThreads = kWarps * kWarp, kStep = kThreads / kPacks;
  static_assert(kThreads % kPacks == 0 && kTileKeys % kStep == 0);
  const int thread = static_cast<int>(threadIdx.x), column = thread % kPacks * Pack<Bf16>::kSize;
  const int stride = static_cast<int>(a.num_kv_heads) * D;  // from a key to the next
  const int64_t head = int64_t{blockIdx.y} * D + column;
#pragma unroll
  for (int step = 0; step < kTileKeys; step += kStep) {
    const int row = thread / kPacks + step, key = first + row;
    Bf16 *to_key = &tile.keys[row][column], *to_value = &tile.values[row][column];
    if (key < part.num_keys) {
      const int64_t from = int64_t{pages[key / kAttentionPage]} * (kAttentionPage * stride) +
                           (key % kAttentionPage * stride + head);
      copy_async(to_key, a.k_pages + from);
      copy_async(to_value, a.v_pages + from);
    } else {
      store_pack(to_key, Pack<Bf16>{});
      store_pack(to_value, Pack<Bf16>{});
    }
  }
}

__device__ inline uint32_t word_at(const Bf16* values) {
  return *reinterpret_cast<const uint32_t*>(values);
}

/// Of a row that has seen nothing: 2^(−∞ − 0) = 0.
__device__ inline float finite_base(float top) { return top == -INFINITY ? 0.0f : top; }

/// 16 rows and what they have seen. A lane has columns of rows g and g + 8 (device_matrix.h).
template <int D>
struct Rows {
  uint32_t q[D / 16][4];
  float out[D / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};  // of the lane's own columns
  int limit[2] = {0, 0};                                   // keys of the part that a row sees

  /// Row r of the part is token r / group, query head r % group of the block's head.
  __device__ void load(const PagedAttention& a, const AttentionPart& part, int tile) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int group = static_cast<int>(a.num_q_heads / a.num_kv_heads);
    for (int half = 0; half < 2; ++half) {
      const int row = tile * kTileRows + lane / 4 + 8 * half;
      const bool real = row < part.num_tokens * group;
      const int64_t token = part.first_token + (real ? row / group : 0);
      const int64_t head = int64_t{blockIdx.y} * group + (real ? row % group : 0);
      const Bf16* from = a.q + (token * a.num_q_heads + head) * D + lane % 4 * 2;
#pragma unroll
      for (int k = 0; k < D / 16; ++k) {
        q[k][half] = real ? word_at(from + 16 * k) : 0;
        q[k][half + 2] = real ? word_at(from + 16 * k + 8) : 0;
      }
      if (real) limit[half] = a.lengths[token] - part.first_key;
    }
  }

  /// To new tops.
  __device__ void raise(const float (&best)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float shrink = exp2f(top[half] - finite_base(best[half]));
      top[half] = best[half];
      sum[half] *= shrink;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        out[n][2 * half] *= shrink;
        out[n][2 * half + 1] *= shrink;
      }
    }
  }

  /// One page, whose first key is `first` of the part.
  __device__ void see(const Bf16 (&keys)[kTileKeys][D + kPadding],
                      const Bf16 (&values)[kTileKeys][D + kPadding], int row, int first,
                      float scale) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp, t = lane % 4;
    float scores[2][4] = {};
#pragma unroll
    for (int k = 0; k < D / 16; k += 2) {
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        uint32_t words[4];  // of key g, 32 columns
        load_rows(words, &keys[row + 8 * n + lane % 8][16 * k + lane / 8 * 8]);
        multiply_add_16x8x16(scores[n], q[k], {words[0], words[1]});
        multiply_add_16x8x16(scores[n], q[k + 1], {words[2], words[3]});
      }
    }
    float best[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      best[half] = top[half];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first + i / 2 * 8 + 2 * t + i % 2;
        float& s = scores[i / 2][2 * half + i % 2];
        s = key < limit[half] ? s * scale : -INFINITY;
        best[half] = s > best[half] ? s : best[half];
      }
      best[half] = warp_reduce(best[half], Max{}, kRowLanes);
    }
    // Most pages after the first few bring no higher score.
    if (__any_sync(kAllLanes, best[0] > top[0] || best[1] > top[1])) raise(best);
    uint32_t weights[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float base = finite_base(top[half]);
      float e[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        e[i] = exp2f(scores[i / 2][2 * half + i % 2] - base);
        sum[half] += e[i];
      }
      weights[half] = rounded_pair(e[0], e[1]);
      weights[half + 2] = rounded_pair(e[2], e[3]);
    }
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      // Keys 0–7 and 8–15 of 8 columns, then of the next 8.
      uint32_t words[4];
      load_transposed(words, &values[row + lane % 16][8 * n + lane / 16 * 8]);
      multiply_add_16x8x16(out[n], weights, {words[0], words[1]});
      multiply_add_16x8x16(out[n + 1], weights, {words[2], words[3]});
    }
  }

  __device__ void leave(Shares<D>& shares) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      sum[half] = warp_reduce(sum[half], Add{}, kRowLanes);
      const int row = g + 8 * half;
      if (t == 0) {
        shares.top[warp][row] = top[half];
        shares.sum[warp][row] = sum[half];
      }
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        shares.out[warp][row][8 * n + 2 * t] = out[n][2 * half];
        shares.out[warp][row][8 * n + 2 * t + 1] = out[n][2 * half + 1];
      }
    }
  }
};

/// The rows of `partial`: [slots, Hq, D] sums, then [slots, Hq] tops (in powers of 2), then as
/// many weights.
struct Partial {
  float *out, *top, *sum;
  __device__ Partial(const PagedAttention& a)
      : out(a.partial),
        top(out + a.num_slots * a.num_q_heads * a.head_dim),
        sum(top + a.num_slots * a.num_q_heads) {}
};

/// What the warps that had a row's pages left, together. Four columns a thread.
template <int D>
__device__ void write_part(const PagedAttention& a, const AttentionPart& part, Shares<D>& shares,
                           int tiles) {
  const Partial partial(a);
  const int thread = static_cast<int>(threadIdx.x);
  const int group = static_cast<int>(a.num_q_heads / a.num_kv_heads);
  const int num_rows = part.num_tokens * group;
  const auto line_of = [&](int row) {
    const int64_t slot = a.slots[part.first_token + row / group] + part.index;
    return slot * a.num_q_heads + int64_t{blockIdx.y} * group + row % group;
  };
  if (thread < num_rows) {
    const int place = thread % kTileRows;
    float top = -INFINITY, sum = 0;
    for (int warp = thread / kTileRows; warp < kWarps; warp += tiles) {
      const float other = shares.top[warp][place];
      top = other > top ? other : top;
    }
    const float base = finite_base(top);
    for (int warp = thread / kTileRows; warp < kWarps; warp += tiles) {
      const float factor = exp2f(shares.top[warp][place] - base);
      shares.factor[warp][place] = factor;
      sum += factor * shares.sum[warp][place];
    }
    partial.top[line_of(thread)] = top;
    partial.sum[line_of(thread)] = sum;
  }
  __syncthreads();
  constexpr int kPacks = D / Pack<float>::kSize;
  for (int i = thread; i < num_rows * kPacks; i += kWarps * kWarp) {
    const int row = i / kPacks, column = i % kPacks * Pack<float>::kSize, place = row % kTileRows;
    Pack<float> sum{};
    for (int warp = row / kTileRows; warp < kWarps; warp += tiles) {
      const float factor = shares.factor[warp][place];
      const Pack<float> mine = load_pack(&shares.out[warp][place][column]);
#pragma unroll
      for (int k = 0; k < Pack<float>::kSize; ++k) sum.values[k] += factor * mine.values[k];
    }
    store_pack(partial.out + line_of(row) * D + column, sum);
  }
}

template <int D>
__global__ void __launch_bounds__(kWarps* kWarp) part_kernel(PagedAttention a) {
  CAPRL_DYNAMIC_SHARED(Tile<D>, tiles);  // two in turns
  __shared__ int32_t pages[kAttentionSegment / kAttentionPage];
  const AttentionPart part = a.parts[blockIdx.x];
  if (part.num_tokens == 0) return;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread * kAttentionPage < part.num_keys) pages[thread] = a.pages[part.first_page + thread];
  __syncthreads();
  const int num_rows = part.num_tokens * static_cast<int>(a.num_q_heads / a.num_kv_heads);
  const int row_tiles = num_rows <= kTileRows ? 1 : num_rows <= 2 * kTileRows ? 2 : kWarps;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  Rows<D> rows;
  rows.load(a, part, warp % row_tiles);

  fetch(tiles[0], a, part, pages, 0);
  end_async_copies();
  int turn = 0;
  for (int first = 0; first < part.num_keys; first += kTileKeys, turn ^= 1) {
    if (first + kTileKeys < part.num_keys)
      fetch(tiles[turn ^ 1], a, part, pages, first + kTileKeys);
    end_async_copies();
    wait_async_copies<1>();
    __syncthreads();
    for (int page = warp / row_tiles; page < kTilePages; page += kWarps / row_tiles) {
      const int key = page * kAttentionPage;
      if (first + key < part.num_keys)
        rows.see(tiles[turn].keys, tiles[turn].values, key, first + key, a.scale * kLog2e);
    }
    __syncthreads();  // before this tile is filled again
  }

  Shares<D>& shares = *reinterpret_cast<Shares<D>*>(tiles);
  rows.leave(shares);
  __syncthreads();
  write_part(a, part, shares, row_tiles);
}

/// A block for a token's head: a thread for a column.
__global__ void merge_kernel(PagedAttention a) {
  const Partial partial(a);
  const int64_t token = blockIdx.x, head = blockIdx.y;
  const int first = a.slots[token], end = a.slots[token + 1];
  float top = -INFINITY;
  for (int slot = first; slot < end; ++slot) {
    const float other = partial.top[slot * a.num_q_heads + head];
    top = other > top ? other : top;
  }
  float sum = 0, out = 0;
  for (int slot = first; slot < end; ++slot) {
    const int64_t line = slot * a.num_q_heads + head;
    const float factor = exp2f(partial.top[line] - top);
    sum += factor * partial.sum[line];
    out += factor * partial.out[line * a.head_dim + threadIdx.x];
  }
  a.out[(token * a.num_q_heads + head) * a.head_dim + threadIdx.x] =
      to_bf16(sum > 0 ? out / sum : 0.0f);
}

template <int D>
void run_parts(const PagedAttention& a, Stream stream) {
  const dim3 grid(static_cast<unsigned>(a.num_parts), static_cast<unsigned>(a.num_kv_heads));
  launch(part_kernel<D>, grid, kWarps * kWarp, shared_bytes<D>(), stream, a);
}

}  // namespace

void paged_attention(const PagedAttention& a, Stream stream) {
  if (a.num_tokens == 0) return;
  if (a.head_dim == 64)
    run_parts<64>(a, stream);
  else
    run_parts<128>(a, stream);
  const dim3 grid(static_cast<unsigned>(a.num_tokens), static_cast<unsigned>(a.num_q_heads));
  launch(merge_kernel, grid, static_cast<int>(a.head_dim), 0, stream, a);
}

int64_t paged_attention_workspace(int64_t num_slots, int64_t num_q_heads, int64_t head_dim) {
  return num_slots * num_q_heads * (head_dim + 2);
}

}  // namespace caprl::kernels
