// Attention of single tokens over paged keys and values: parts of the keys, then their merging.
//
// Idea: a block takes one part and one head of keys, so that a key is read once for all the query
// heads and tokens that see it: 64 rows for eight captions of an image with eight query heads to a
// head of keys. Keys and values go through shared memory 64 at a time while the next 64 are on
// their way; 70 KB a block leave room for three blocks on a multiprocessor, 100 KB in flight. Rows
// are products of 16 on the tensor cores: a warp has 16 rows and, where there are fewer than 64,
// a half or a quarter of each 64 keys. Few blocks follow one another on a multiprocessor, so that a
// block's own latency counts: nothing waits for two reads in a row where one would do, and keys are
// taken 32 at a time, four chains of products side by side. Which keys make a part depends on
// lengths, shared pages and on how many tokens there are.
#include "kernels/paged_attention.h"

#include "kernels/paged_attention_rows.h"

namespace caprl::kernels {
namespace {

template <int D>
constexpr size_t shared_bytes() {
  return 2 * sizeof(Tile<D>) > sizeof(Shares<D>) ? 2 * sizeof(Tile<D>) : sizeof(Shares<D>);
}

/// Brings keys and values of one head into shared memory, 16 bytes of each kStep-th row a thread.
template <int D>
struct Fetch {
  static constexpr int kPacks = D / Pack<Bf16>::kSize;  // of a row
  static constexpr int kStep = kThreads / kPacks;
  static_assert(kThreads % kPacks == 0 && kAttentionPage % kStep == 0);
  const Bf16 *keys, *values;  // this thread's of page 0
  int page_size, step_size;   // from a page to the next, from a row to the kStep-th after it
  int row, column;            // in a tile

  __device__ Fetch(const PagedAttention& a, int head)
      : row(static_cast<int>(threadIdx.x) / kPacks),
        column(static_cast<int>(threadIdx.x) % kPacks * Pack<Bf16>::kSize) {
    const int row_size = static_cast<int>(a.num_kv_heads) * D;
    page_size = kAttentionPage * row_size;
    step_size = kStep * row_size;
    const int64_t first = int64_t{row} * row_size + head * D + column;
    keys = a.k_pages + first;
    values = a.v_pages + first;
  }

  /// Key `first` of the part and those after it. Zeros beyond the part: what lies there may be
  /// anything.
  __device__ void operator()(Tile<D>& tile, const int32_t* pages, int first, int num_keys) const {
#pragma unroll
    for (int page = 0; page < kTileKeys / kAttentionPage; ++page) {
      const int64_t from = int64_t{pages[first / kAttentionPage + page]} * page_size;
#pragma unroll
      for (int step = 0; step < kAttentionPage / kStep; ++step) {
        const int to = page * kAttentionPage + step * kStep + row;
        const bool real = first + to < num_keys;
        copy_async(&tile.keys[to][column], keys + from + step * step_size, real);
        copy_async(&tile.values[to][column], values + from + step * step_size, real);
      }
    }
  }
};

/// What the warps that had a row's keys left, together. Four columns a thread.
template <int D>
__device__ void write_together(const Partial& partial, Shares<D>& shares, int num_rows, int tiles) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < num_rows) {
    const int first = thread / kTileRows, place = thread % kTileRows;
    float top = -INFINITY, sum = 0;
    for (int warp = first; warp < kWarps; warp += tiles) top = fmaxf(top, shares.top[warp][place]);
    const float base = finite_base(top);
    for (int warp = first; warp < kWarps; warp += tiles) {
      const float factor = exp2f(shares.top[warp][place] - base);
      shares.factor[warp][place] = factor;
      sum += factor * shares.sum[warp][place];
    }
    partial.top[shares.line[first][place]] = top;
    partial.sum[shares.line[first][place]] = sum;
  }
  __syncthreads();
  constexpr int kPacks = D / Pack<float>::kSize;
  for (int i = thread; i < num_rows * kPacks; i += kThreads) {
    const int row = i / kPacks, column = i % kPacks * Pack<float>::kSize;
    const int first = row / kTileRows, place = row % kTileRows;
    Pack<float> sum{};
    for (int warp = first; warp < kWarps; warp += tiles) {
      const float factor = shares.factor[warp][place];
      const Pack<float> mine = load_pack(&shares.out[warp][place][column]);
#pragma unroll
      for (int k = 0; k < Pack<float>::kSize; ++k) sum.values[k] += factor * mine.values[k];
    }
    store_pack(partial.out + int64_t{shares.line[first][place]} * D + column, sum);
  }
}

template <int D>
__global__ void __launch_bounds__(kThreads) part_kernel(PagedAttention a) {
  CAPRL_DYNAMIC_SHARED(Tile<D>, tiles);  // two in turns
  __shared__ int32_t pages[kAttentionPartPages];
  const int kv_heads = static_cast<int>(a.num_kv_heads);
  const AttentionPart& given = a.parts[blockIdx.x / kv_heads];
  const PartHead part(given);
  const int head = static_cast<int>(blockIdx.x) % kv_heads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  if (thread < kAttentionPartPages) pages[thread] = given.pages[thread];
  if (part.num_tokens == 0) return;
  __syncthreads();
  const Fetch<D> fetch(a, head);
  fetch(tiles[0], pages, 0, part.num_keys);
  end_async_copies();

  const int num_rows = part.num_tokens * static_cast<int>(a.num_q_heads / a.num_kv_heads);
  const int row_tiles = num_rows <= kTileRows ? 1 : num_rows <= 2 * kTileRows ? 2 : kWarps;
  Rows<D> rows;
  rows.load(a, part, head, warp % row_tiles);
  const int own = kTileKeys * row_tiles / kWarps, begin = warp / row_tiles * own;  // keys of a tile
  const float scale = a.scale * kLog2E;
  int turn = 0;
  for (int first = 0; first < part.num_keys; first += kTileKeys, turn ^= 1) {
    if (first + kTileKeys < part.num_keys)
      fetch(tiles[turn ^ 1], pages, first + kTileKeys, part.num_keys);
    end_async_copies();
    wait_async_copies<1>();
    __syncthreads();
    for (int row = begin; row < begin + own && first + row < part.num_keys;
         row += 2 * kAttentionPage) {
      if (own == kAttentionPage)
        rows.template see<1>(tiles[turn], row, first + row, scale);
      else
        rows.template see<2>(tiles[turn], row, first + row, scale);
    }
    __syncthreads();  // before this tile is filled again
  }

  rows.finish(scale);
  const Partial partial(a);
  if (row_tiles == kWarps) return rows.write(partial);
  Shares<D>& shares = *reinterpret_cast<Shares<D>*>(tiles);
  rows.leave(shares);
  __syncthreads();
  write_together(partial, shares, num_rows, row_tiles);
}

/// Four columns of a token's head a thread, some heads a block.
template <int D>
__global__ void __launch_bounds__(kThreads) merge_kernel(PagedAttention a) {
  constexpr int kPacks = D / Pack<float>::kSize, kHeads = kThreads / kPacks, kInFlight = 8;
  const Partial partial(a);
  const int64_t token = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x), column = thread % kPacks * Pack<float>::kSize;
  const int64_t heads = a.num_q_heads, head = int64_t{blockIdx.y} * kHeads + thread / kPacks;
  if (head >= heads) return;
  const int first = a.slots[token], end = a.slots[token + 1];
  float top = -INFINITY;
#pragma unroll kInFlight
  for (int slot = first; slot < end; ++slot) top = fmaxf(top, partial.top[slot * heads + head]);
  float sum = 0;
  Pack<float> out{};
#pragma unroll kInFlight
  for (int slot = first; slot < end; ++slot) {
    const int64_t line = slot * heads + head;
    const float factor = exp2f(partial.top[line] - top);
    const Pack<float> part = load_pack(partial.out + line * D + column);
    sum += factor * partial.sum[line];
#pragma unroll
    for (int k = 0; k < Pack<float>::kSize; ++k) out.values[k] += factor * part.values[k];
  }
  const float scale = sum > 0 ? 1 / sum : 0;
  uint32_t* const to = reinterpret_cast<uint32_t*>(a.out + (token * heads + head) * D + column);
  to[0] = rounded_pair(out.values[0] * scale, out.values[1] * scale);
  to[1] = rounded_pair(out.values[2] * scale, out.values[3] * scale);
}

template <int D>
void run(const PagedAttention& a, Stream stream) {
  launch(part_kernel<D>, dim3(static_cast<unsigned>(a.num_parts * a.num_kv_heads)), kThreads,
         shared_bytes<D>(), stream, a);
  constexpr int kHeads = kThreads / (D / Pack<float>::kSize);
  const dim3 grid(static_cast<unsigned>(a.num_tokens),
                  static_cast<unsigned>((a.num_q_heads + kHeads - 1) / kHeads));
  launch(merge_kernel<D>, grid, kThreads, 0, stream, a);
}

}  // namespace

void paged_attention(const PagedAttention& a, Stream stream) {
  if (a.num_tokens == 0) return;
  if (a.head_dim == 64)
    run<64>(a, stream);
  else
    run<128>(a, stream);
}

int64_t paged_attention_workspace(int64_t num_slots, int64_t num_q_heads, int64_t head_dim) {
  return num_slots * num_q_heads * (head_dim + 2);
}

}  // namespace caprl::kernels
