// One thread turns a chunk of pairs of one head: kWidth values of the first half and the kWidth
// values D/2 further on, each one load and one store of up to 16 bytes. Consecutive threads take
// consecutive chunks, then heads (q, k, v in one launch), then rows, so a warp's accesses are whole
// sectors. Every value is read once and written once per destination; a row's tables are re-read by
// its heads from L1. D/2 of 36 (D = 72) is no multiple of the 8 bf16 values of 16 bytes: chunks
// are then of 8 bytes. Memory-bound: the loads of a thread do not wait for each other, and 32 bytes
// for each of 1024 threads of a multiprocessor are more than twice the reads it must have in
// flight.
#include <algorithm>

#include "kernels/device.h"
#include "kernels/rotary.h"

namespace caprl::kernels {
namespace {

constexpr int kBlock = 256;
constexpr int kItemsPerBlock = 4 * kBlock;   // beyond it, another block
constexpr int kBlocksPerMultiprocessor = 4;  // small problems are spread over this many first

/// kWidth consecutive values at a multiple of their size, 16 bytes at most.
template <class T, int kWidth>
struct alignas(kWidth * sizeof(T) < 16 ? kWidth * sizeof(T) : 16) Chunk {
  T values[kWidth];
};

template <int kWidth, class T>
__device__ Chunk<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Chunk<T, kWidth>*>(from);
}

template <class T, int kWidth>
__device__ void store(T* to, const Chunk<T, kWidth>& chunk) {
  *reinterpret_cast<Chunk<T, kWidth>*>(to) = chunk;
}

/// The values of kWidth pairs, as stored.
template <class T, int kWidth>
struct Pairs {
  Chunk<T, kWidth> first, second;
};

template <int kWidth, class T>
__device__ Pairs<T, kWidth> load_pairs(const T* from, int half) {
  return {load<kWidth>(from), load<kWidth>(from + half)};
}

template <class T, int kWidth>
__device__ void store_pairs(T* to, int half, const Pairs<T, kWidth>& pairs) {
  store(to, pairs.first);
  store(to + half, pairs.second);
}

/// Adds the bias, unless null, turns by sign times the angles if `turned`, and rounds.
template <class T, class Table, int kWidth>
__device__ void apply(Pairs<T, kWidth>& pairs, const T* bias, int half, bool turned,
                      const Chunk<Table, kWidth>& cos, const Chunk<Table, kWidth>& sin,
                      float sign) {
  float first[kWidth], second[kWidth];
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    first[i] = to_float(pairs.first.values[i]);
    second[i] = to_float(pairs.second.values[i]);
  }
  if (bias != nullptr) {
    const Pairs<T, kWidth> added = load_pairs<kWidth>(bias, half);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      first[i] += to_float(added.first.values[i]);
      second[i] += to_float(added.second.values[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float c = to_float(cos.values[i]), s = sign * to_float(sin.values[i]);
    pairs.first.values[i] = from_float<T>(turned ? first[i] * c - second[i] * s : first[i]);
    pairs.second.values[i] = from_float<T>(turned ? second[i] * c + first[i] * s : second[i]);
  }
}

/// One head of one row, `first`: where the chunk begins in the head's first half.
template <class T, class Table, int kWidth>
__device__ void turn_chunk(const Rotary<T, Table>& rotary, float sign, int64_t row, int head,
                           int first) {
  const int q_heads = static_cast<int>(rotary.num_q_heads);
  const int kv_heads = static_cast<int>(rotary.num_kv_heads);
  const int dim = static_cast<int>(rotary.head_dim), half = dim / 2;
  const bool is_q = head < q_heads, is_v = head >= q_heads + kv_heads;
  const RotaryInput<T>& in = is_q ? rotary.q : (is_v ? rotary.v : rotary.k);
  const RotaryOutput<T>& out = is_q ? rotary.q_out : (is_v ? rotary.v_out : rotary.k_out);
  T* const pages = is_q ? nullptr : (is_v ? rotary.v_pages : rotary.k_pages);
  const int own_head = is_q ? head : (is_v ? head - q_heads - kv_heads : head - q_heads);
  const int place = own_head * dim + first;

  // All loads before the first use; values that are not turned load a table for nothing.
  Pairs<T, kWidth> pairs = load_pairs<kWidth>(in.values + row * in.stride + place, half);
  const Chunk<Table, kWidth> cos = load<kWidth>(rotary.cos + row * half + first);
  const Chunk<Table, kWidth> sin = load<kWidth>(rotary.sin + row * half + first);
  const int64_t slot = pages != nullptr ? rotary.slots[row] : -1;
  apply(pairs, in.bias != nullptr ? in.bias + place : nullptr, half, !is_v, cos, sin, sign);
  if (out.values != nullptr) store_pairs(out.values + row * out.stride + place, half, pairs);
  if (slot >= 0) store_pairs(pages + slot * kv_heads * dim + place, half, pairs);
}

template <class T, class Table, int kWidth>
__global__ void __launch_bounds__(kBlock)
    turn_rows(const Rotary<T, Table> rotary, float sign, int heads, int rows_per_block) {
  const unsigned chunks = static_cast<unsigned>(rotary.head_dim / 2 / kWidth);  // of a head
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * rows_per_block;
  const int64_t rows_left = rotary.num_rows - first_row;
  const unsigned rows =
      static_cast<unsigned>(rows_left < rows_per_block ? rows_left : rows_per_block);
  const unsigned items = rows * static_cast<unsigned>(heads) * chunks;
  for (unsigned item = threadIdx.x; item < items; item += kBlock) {
    const unsigned head = item / chunks;  // counted over the rows
    const unsigned row = head / static_cast<unsigned>(heads);
    turn_chunk<T, Table, kWidth>(rotary, sign, first_row + row,
                                 static_cast<int>(head - row * static_cast<unsigned>(heads)),
                                 static_cast<int>((item - head * chunks) * kWidth));
  }
}

/// All addresses in one: a power of two divides each of them if it divides this.
template <class... Pointers>
uintptr_t joined(const Pointers*... pointers) {
  return (reinterpret_cast<uintptr_t>(pointers) | ...);
}

/// Whether chunks of `width` values divide the halves, and all chunks are aligned.
template <class T, class Table>
bool allows(const Rotary<T, Table>& r, int width) {
  const uintptr_t values =
      joined(r.q.values, r.k.values, r.v.values, r.q.bias, r.k.bias, r.v.bias, r.q_out.values,
             r.k_out.values, r.v_out.values, r.k_pages, r.v_pages);
  const int64_t strides =
      r.q.stride | r.k.stride | r.v.stride | r.q_out.stride | r.k_out.stride | r.v_out.stride;
  return r.head_dim / 2 % width == 0 && strides % width == 0 &&
         values % std::min<size_t>(width * sizeof(T), 16) == 0 &&
         joined(r.cos, r.sin) % std::min<size_t>(width * sizeof(Table), 16) == 0;
}

template <int kWidth, class T, class Table>
void launch_width(const Rotary<T, Table>& rotary, float sign, Stream stream) {
  const int64_t heads =
      rotary.num_q_heads + rotary.num_kv_heads * (rotary.v.values != nullptr ? 2 : 1);
  const int64_t items = heads * (rotary.head_dim / 2 / kWidth);  // of a row
  if (rotary.num_rows == 0 || items == 0) return;
  const int64_t spread =
      rotary.num_rows / (int64_t{kBlocksPerMultiprocessor} * num_multiprocessors());
  const int64_t rows_per_block =
      std::max<int64_t>(1, std::min<int64_t>(spread, kItemsPerBlock / items));
  const int64_t blocks = (rotary.num_rows + rows_per_block - 1) / rows_per_block;
  launch(turn_rows<T, Table, kWidth>, dim3(static_cast<unsigned>(blocks)), kBlock, 0, stream,
         rotary, sign, static_cast<int>(heads), static_cast<int>(rows_per_block));
}

template <class T, class Table>
void launch_turn(const Rotary<T, Table>& rotary, float sign, Stream stream) {
  constexpr int kPack = Pack<T>::kSize;
  if (allows(rotary, kPack))
    launch_width<kPack>(rotary, sign, stream);
  else if (allows(rotary, kPack / 2))
    launch_width<kPack / 2>(rotary, sign, stream);
  else
    launch_width<1>(rotary, sign, stream);
}

}  // namespace

template <class T, class Table>
void rotary_forward(const Rotary<T, Table>& rotary, Stream stream) {
  launch_turn(rotary, 1, stream);
}

template <class T, class Table>
void rotary_backward(const RotaryGradient<T, Table>& gradient, Stream stream) {
  Rotary<T, Table> rotary{.num_rows = gradient.num_rows,
                          .num_q_heads = gradient.num_q_heads,
                          .num_kv_heads = gradient.num_kv_heads,
                          .head_dim = gradient.head_dim,
                          .cos = gradient.cos,
                          .sin = gradient.sin};
  rotary.q = {.values = gradient.d_q, .stride = gradient.q_stride};
  rotary.k = {.values = gradient.d_k, .stride = gradient.k_stride};
  rotary.q_out = {.values = gradient.d_q, .stride = gradient.q_stride};
  rotary.k_out = {.values = gradient.d_k, .stride = gradient.k_stride};
  launch_turn(rotary, -1, stream);
}

template void rotary_forward(const Rotary<float, float>&, Stream);
template void rotary_forward(const Rotary<Bf16, Bf16>&, Stream);
template void rotary_forward(const Rotary<Bf16, float>&, Stream);
template void rotary_backward(const RotaryGradient<float, float>&, Stream);
template void rotary_backward(const RotaryGradient<Bf16, Bf16>&, Stream);
template void rotary_backward(const RotaryGradient<Bf16, float>&, Stream);

}  // namespace caprl::kernels
