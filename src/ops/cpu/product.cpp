#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

// A tile of 4 rows and 3 outputs keeps 12 sums and 4 operands in the 16 registers of AVX2.
constexpr int kTileRows = 4, kTileOutputs = 3;
constexpr int64_t kGroupOutputs =
    2 * kTileOutputs;                  // whose weights stay in the nearest cache with a tile's rows
constexpr int64_t kInner = 1536;       // of one run of sums
constexpr int64_t kBlockOutputs = 96;  // whose partial sums are kept
constexpr int64_t kBlockRows = 32;
constexpr int64_t kLine = 64;  // bytes

/// The next weights, fetched to the second-level cache a line at a time while others are worked on.
class Ahead {
 public:
  /// `rows` runs of `bytes`, `stride` bytes apart.
  Ahead(const void* begin, int64_t rows, int64_t bytes, int64_t stride)
      : next_(static_cast<const char*>(begin)),
        end_(next_ + bytes),
        rows_(rows),
        bytes_(bytes),
        stride_(stride) {}
  void fetch() {
    if (rows_ <= 0) return;
    __builtin_prefetch(next_, 0, 2);
    next_ += kLine;
    if (next_ < end_) return;
    --rows_;
    end_ += stride_;
    next_ = end_ - bytes_;
  }

 private:
  const char *next_, *end_;
  int64_t rows_, bytes_, stride_;
};

/// sums[o · stride + r] += Σ_k x[r, k] w[o, k] over one run.
template <int R, int O, class Weight>
void add_tile(const float* x, int64_t x_stride, const Weight* w, int64_t w_stride, int64_t length,
              float* sums, int64_t stride, Ahead& ahead) {
  Lanes total[R][O] = {};
  const auto add = [&](auto get) {
    Lanes weights[O];
    for (int o = 0; o < O; ++o) weights[o] = get(w + o * w_stride);
    for (int r = 0; r < R; ++r) {
      const Lanes values = get(x + r * x_stride);
      for (int o = 0; o < O; ++o) total[r][o] += values * weights[o];
    }
  };
  const auto add_whole = [&](int64_t k) { add([k](const auto* from) { return load(from + k); }); };
  int64_t k = 0;
  for (; k + 2 * kLanes <= length; k += 2 * kLanes) {
    ahead.fetch();
    add_whole(k);
    add_whole(k + kLanes);
  }
  for (; k + kLanes <= length; k += kLanes) add_whole(k);
  if (k < length) add([=](const auto* from) { return load_first(from + k, length - k); });
  for (int o = 0; o < O; ++o) {
    float* to = sums + o * stride;
    if constexpr (R == 4) {
      Four before;
      memcpy(&before, to, sizeof before);
      before += reduce(fold(total[0][o]), fold(total[1][o]), fold(total[2][o]), fold(total[3][o]));
      memcpy(to, &before, sizeof before);
    } else {
      for (int r = 0; r < R; ++r) to[r] += sum(total[r][o]);
    }
  }
}

template <class Weight>
using AddTile = void (*)(const float*, int64_t, const Weight*, int64_t, int64_t, float*, int64_t,
                         Ahead&);

template <class Weight, int R>
inline constexpr AddTile<Weight> kTilesOf[kTileOutputs] = {
    add_tile<R, 1, Weight>, add_tile<R, 2, Weight>, add_tile<R, 3, Weight>};
template <class Weight>
inline constexpr const AddTile<Weight>* kTiles[kTileRows] = {
    kTilesOf<Weight, 1>, kTilesOf<Weight, 2>, kTilesOf<Weight, 3>, kTilesOf<Weight, 4>};

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// Outputs [first, first + count) of some rows.
template <class Weight, class Out>
void block(const Product<Weight, Out>& p, int64_t first_row, int64_t rows, int64_t first,
           int64_t count) {
  float sums[kBlockOutputs * kBlockRows];  // [outputs, rows]
  for (int64_t o = 0; o < count; ++o) memset(sums + o * kBlockRows, 0, rows * sizeof(float));
  for (int64_t begin = 0; begin < p.inner; begin += kInner) {
    const int64_t length = least(p.inner - begin, kInner);
    const float* x = p.x + first_row * p.inner + begin;
    const auto weights = [&](int64_t o) { return p.weight + (first + o) * p.inner + begin; };
    for (int64_t group = 0; group < count; group += kGroupOutputs) {
      const int64_t end = least(group + kGroupOutputs, count);
      const auto bytes = [](int64_t count) { return count * int64_t{sizeof(Weight)}; };
      Ahead ahead(weights(end), least(kGroupOutputs, p.outputs - first - end), bytes(length),
                  bytes(p.inner));
      for (int64_t r = 0; r < rows; r += kTileRows)
        for (int64_t o = group; o < end; o += kTileOutputs)
          kTiles<Weight>[least(rows - r, kTileRows) - 1][least(end - o, kTileOutputs) - 1](
              x + r * p.inner, p.inner, weights(o), p.inner, length, sums + o * kBlockRows + r,
              kBlockRows, ahead);
    }
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < count; ++o) {
      const float bias = p.bias ? scalar(p.bias[first + o]) : 0.0f;
      p.y[(first_row + r) * p.y_stride + first + o] =
          kernels::from_float<Out>(sums[o * kBlockRows + r] + bias);
    }
}

}  // namespace

template <class Weight, class Out>
void product(const Product<Weight, Out>& p, int64_t first, int64_t last) {
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
