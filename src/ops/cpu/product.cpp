#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

// A tile keeps its sums and the operands that it is at in registers: 16 of AVX2, 32 of AVX-512.
constexpr int kTileRows = 4, kTileOutputs = kLanes == 16 ? 6 : 3;
constexpr int64_t kGroupOutputs = 6;   // whose weights stay in the nearest cache with a tile's rows
constexpr int64_t kInner = 1536;       // of one run of sums
constexpr int64_t kBlockOutputs = 96;  // whose partial sums are kept
constexpr int64_t kBlockRows = 32;
constexpr int64_t kLine = 64;  // bytes

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The next weights, fetched to the second-level cache some lines at a time while others are worked
/// on.
class Ahead {
 public:
  /// `rows` runs of `bytes`, `stride` bytes apart, in so many steps.
  Ahead(const void* begin, int64_t rows, int64_t bytes, int64_t stride, int64_t steps)
      : next_(static_cast<const char*>(begin)),
        end_(next_ + bytes),
        rows_(rows),
        bytes_(bytes),
        stride_(stride),
        lines_(quotient_up(rows * quotient_up(bytes, kLine), steps > 0 ? steps : 1)) {}
  void fetch() {
    for (int64_t i = 0; i < lines_ && rows_ > 0; ++i) fetch_line();
  }

 private:
  void fetch_line() {
    CAPRL_ISA::fetch(next_);
    next_ += kLine;
    if (next_ < end_) return;
    --rows_;
    end_ += stride_;
    next_ = end_ - bytes_;
  }

  const char *next_, *end_;
  int64_t rows_, bytes_, stride_, lines_;
};

/// What is left of N rows after whole vectors, filled up with zeros. Copied before the sums are in
/// registers: a call in between would put them all into memory.
template <int N, class Value, int64_t kCount>
struct Rest {
  Rest(const Value* from, int64_t stride, int64_t count) {
    for (int n = 0; n < N && count > 0; ++n)
      memcpy(values + n * kCount, from + n * stride, count * sizeof(Value));
  }
  alignas(kLine) Value values[N * kCount] = {};
};

/// sums[o · stride + r] += Σ_k x[r, k] w[o, k] over one run.
template <int R, int O, class T>
void add_tile(const typename Factors<T>::Value* x, int64_t x_stride, const T* w, int64_t w_stride,
              int64_t length, float* sums, int64_t stride, Ahead& ahead) {
  using Factor = Factors<T>;
  constexpr int64_t kCount = Factor::kCount;
  const int64_t whole = length / kCount * kCount;
  const Rest<R, typename Factor::Value, kCount> x_rest(x + whole, x_stride, length - whole);
  const Rest<O, T, kCount> w_rest(w + whole, w_stride, length - whole);
  Lanes total[R][O] = {};
  const auto add = [&total](const auto* x, int64_t x_stride, const T* w, int64_t w_stride) {
    decltype(Factor::get(w)) weights[O];
    for (int o = 0; o < O; ++o) weights[o] = Factor::get(w + o * w_stride);
    for (int r = 0; r < R; ++r) {
      const auto values = Factor::get(x + r * x_stride);
      for (int o = 0; o < O; ++o) Factor::add(values, weights[o], total[r][o]);
    }
  };
  int64_t k = 0;
  for (; k + 2 * kCount <= whole; k += 2 * kCount) {
    ahead.fetch();
    add(x + k, x_stride, w + k, w_stride);
    add(x + k + kCount, x_stride, w + k + kCount, w_stride);
  }
  // Where it is left to the compiler to fuse them (add_product), a product that is computed before
  // a branch and added after it is rounded in between.
  const auto no_earlier_reads = [] { __asm__ volatile("" : : : "memory"); };
  if (k < whole) {
    no_earlier_reads();
    add(x + k, x_stride, w + k, w_stride);
  }
  if (whole < length) {
    no_earlier_reads();
    add(x_rest.values, kCount, w_rest.values, kCount);
  }
  for (int o = 0; o < O; ++o) {
    float* to = sums + o * stride;
    if constexpr (R == 4) {
      Four before;
      memcpy(&before, to, sizeof before);
      before += CAPRL_ISA::sums(total[0][o], total[1][o], total[2][o], total[3][o]);
      memcpy(to, &before, sizeof before);
    } else {
      for (int r = 0; r < R; ++r) to[r] += sum(total[r][o]);
    }
  }
}

template <class T>
using AddTile = void (*)(const typename Factors<T>::Value*, int64_t, const T*, int64_t, int64_t,
                         float*, int64_t, Ahead&);

/// The tile of `rows` and `outputs`, both from 1.
template <class T, int R = kTileRows, int O = kTileOutputs>
AddTile<T> tile(int64_t rows, int64_t outputs) {
  if constexpr (R > 1) {
    if (rows < R) return tile<T, R - 1, O>(rows, outputs);
  }
  if constexpr (O > 1) {
    if (outputs < O) return tile<T, R, O - 1>(rows, outputs);
  }
  return add_tile<R, O, T>;
}

/// One run of some rows as the sums take them.
template <class T>
class RunOfRows {
 public:
  using Value = typename Factors<T>::Value;

  RunOfRows(const T* x, int64_t stride, int64_t rows, int64_t length) : x_(x), stride_(stride) {
    if constexpr (kConverts) {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < length; ++k) converted_[r * kInner + k] = scalar(x[r * stride + k]);
    }
  }
  const Value* row(int64_t r) const {
    if constexpr (kConverts)
      return converted_ + r * kInner;
    else
      return x_ + r * stride_;
  }
  int64_t stride() const { return kConverts ? kInner : stride_; }

 private:
  static constexpr bool kConverts = sizeof(Value) != sizeof(T);
  const T* x_;
  int64_t stride_;
  Value converted_[kConverts ? kBlockRows * kInner : 1];
};

/// sums[o, r] += one run of outputs [first, first + count) and some rows.
template <class T, class Out>
void add_run(const Product<T, Out>& p, const RunOfRows<T>& x, int64_t rows, const T* weights,
             int64_t outputs_left, int64_t count, int64_t length, float* sums) {
  const int64_t row_tiles = quotient_up(rows, kTileRows);
  const int64_t steps =
      row_tiles * (kGroupOutputs / kTileOutputs) * (length / (2 * Factors<T>::kCount));
  const auto bytes = [](int64_t values) { return values * int64_t{sizeof(T)}; };
  for (int64_t group = 0; group < count; group += kGroupOutputs) {
    const int64_t end = least(group + kGroupOutputs, count);
    Ahead ahead(weights + end * p.inner, least(kGroupOutputs, outputs_left - end), bytes(length),
                bytes(p.inner), steps);
    for (int64_t r = 0; r < rows; r += kTileRows)
      for (int64_t o = group; o < end; o += kTileOutputs)
        tile<T>(rows - r, end - o)(x.row(r), x.stride(), weights + o * p.inner, p.inner, length,
                                   sums + o * kBlockRows + r, kBlockRows, ahead);
  }
}

/// Sums [outputs, rows] and biases to where they belong.
template <class T, class Out>
void write_rows(const Product<T, Out>& p, const float* sums, int64_t first_row, int64_t rows,
                int64_t first, int64_t count) {
  static_assert(kBlockRows % 4 == 0 && kBlockOutputs % 4 == 0 && kBlockOutputs % kLanes == 0);
  for (int64_t r = 0; r < rows; r += 4) {
    float turned[4][kBlockOutputs];
    for (int64_t o = 0; o < count; o += 4) {
      Four of[4];  // of an output each, then of a row each
      for (int i = 0; i < 4; ++i) memcpy(&of[i], sums + (o + i) * kBlockRows + r, sizeof(Four));
      transpose(of[0], of[1], of[2], of[3]);
      for (int i = 0; i < 4; ++i) memcpy(&turned[i][o], &of[i], sizeof(Four));
    }
    for (int64_t i = 0; i < least(rows - r, 4); ++i) {
      Out* y = p.y + (first_row + r + i) * p.y_stride + first;
      for (int64_t o = 0; o < count; o += kLanes) {
        const int64_t here = least(count - o, kLanes);
        Lanes values = load(&turned[i][o]);
        if (p.bias && here == kLanes) values += load(p.bias + first + o);
        if (p.bias && here < kLanes) values += load_first(p.bias + first + o, here);
        here == kLanes ? store(values, y + o) : store_first(values, y + o, here);
      }
    }
  }
}

/// Outputs [first, first + count) of some rows.
template <class T, class Out>
void block(const Product<T, Out>& p, int64_t first_row, int64_t rows, int64_t first,
           int64_t count) {
  float sums[kBlockOutputs * kBlockRows] = {};  // [outputs, rows]
  for (int64_t begin = 0; begin < p.inner; begin += kInner) {
    const int64_t length = least(p.inner - begin, kInner);
    const RunOfRows<T> x(p.x + first_row * p.inner + begin, p.inner, rows, length);
    add_run(p, x, rows, p.weight + first * p.inner + begin, p.outputs - first, count, length, sums);
  }
  write_rows(p, sums, first_row, rows, first, count);
}

}  // namespace

template <class T, class Out>
void product(const Product<T, Out>& p, int64_t first, int64_t last) {
  for (int64_t o = first; o < last; o += kBlockOutputs) {
    const int64_t outputs = least(last - o, kBlockOutputs);
    for (int64_t r = 0; r < p.rows; r += kBlockRows) {
      block(p, r, least(p.rows - r, kBlockRows), o, outputs);
    }
  }
}

template void product(const Product<float, float>&, int64_t, int64_t);
template void product(const Product<Bf16, Bf16>&, int64_t, int64_t);
template void product(const Product<Bf16, float>&, int64_t, int64_t);

}  // namespace caprl::ops::cpu::CAPRL_ISA
