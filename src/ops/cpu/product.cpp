#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/sums.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kBlockOutputs = 96;  // whose sums are kept

/// Eight words of up to eight rows, turned. What is not there is zero.
template <class T>
void pack_square(const T* x, int64_t stride, int64_t rows, int64_t values, int64_t width,
                 float* to) {
  constexpr int64_t kCount = 8 * Words<T>::kValues;
  EightLanes words[8] = {};
  for (int64_t r = 0; r < least(rows, 8); ++r) {
    if (values >= kCount) {
      words[r] = Words<T>::eight(x + r * stride);
    } else {
      T some[kCount] = {};
      memcpy(some, x + r * stride, values * sizeof(T));
      words[r] = Words<T>::eight(some);
    }
  }
  transpose(words);
  const int64_t count = least(words_of<T>(values), 8);
  for (int64_t k = 0; k < count; ++k) memcpy(to + k * width, &words[k], sizeof(EightLanes));
}

/// Sums [outputs, width] and biases to where they belong.
template <class T, class Out>
void write_rows(const Product<T, Out>& p, const float* sums, int64_t width, int64_t first_row,
                int64_t rows, int64_t first, int64_t count) {
  static_assert(kBlockOutputs % 8 == 0);
  for (int64_t r = 0; r < rows; r += 8)
    for (int64_t o = 0; o < count; o += 8) {
      EightLanes of[8];  // of an output each, then of a row each
      for (int64_t i = 0; i < 8; ++i) of[i] = load<EightLanes>(sums + (o + i) * width + r);
      transpose(of);
      const int64_t here = least(count - o, 8);
      EightLanes bias{};
      if (p.bias) bias = load_first<EightLanes>(p.bias + first + o, here);
      Out* y = p.y + (first_row + r) * p.y_stride + first + o;
      for (int64_t i = 0; i < least(rows - r, 8); ++i)
        here == 8 ? store(of[i] + bias, y + i * p.y_stride)
                  : store_first(of[i] + bias, y + i * p.y_stride, here);
    }
}

/// Outputs [first, first + count) of the rows that lie side by side from this one on. The outputs
/// `then` come next.
template <class T, class Out>
void block(const Product<T, Out>& p, int64_t row, int64_t first, int64_t count, const T* then) {
  const int64_t width = rows_side_by_side(p.rows - row);
  alignas(64) float sums[kBlockOutputs * kMostRows];  // [outputs, width]
  sum_block(p.x + row * words_of<T>(p.inner), width, p.weight + first * p.inner, p.inner, count,
            then, sums);
  write_rows(p, sums, width, row, least(p.rows - row, width), first, count);
}

}  // namespace

template <class T>
void pack(const Packing<T>& p, int64_t first, int64_t last) {
  for (int64_t row = first; row < last;) {
    const int64_t width = rows_side_by_side(p.rows - row);
    float* to = p.packed + row * words_of<T>(p.inner);
    for (int64_t k = 0; k < p.inner; k += 8 * Words<T>::kValues)
      for (int64_t r = 0; r < width; r += 8)
        pack_square(p.x + (row + r) * p.inner + k, p.inner, p.rows - row - r, p.inner - k, width,
                    to + words_of<T>(k) * width + r);
    row += width;
  }
}

template <class T, class Out>
void product(const Product<T, Out>& p, int64_t first, int64_t last) {
  const T* then = p.then ? p.then : p.weight + first * p.inner;
  for (int64_t o = first; o < last; o += kBlockOutputs) {
    const int64_t count = least(last - o, kBlockOutputs);
    const T *here = p.weight + o * p.inner, *next = here + count * p.inner;
    for (int64_t row = 0; row < p.rows;) {
      const int64_t end = row + rows_side_by_side(p.rows - row);
      block(p, row, o, count, end < p.rows ? here : o + count < last ? next : then);
      row = end;
    }
  }
}

template void pack(const Packing<float>&, int64_t, int64_t);
template void pack(const Packing<Bf16>&, int64_t, int64_t);
template void product(const Product<float, float>&, int64_t, int64_t);
template void product(const Product<Bf16, Bf16>&, int64_t, int64_t);
template void product(const Product<Bf16, float>&, int64_t, int64_t);

}  // namespace caprl::ops::cpu::CAPRL_ISA
