// Tokens of one id are a run in the sorted order; a run's sum is made in one place, so no atomics.
// A block takes 32 places of the order and a strip of 256 columns. Every warp reads the 32 ids at
// once and sees all runs that begin there by comparing neighbours; each run that also ends there
// is one warp's. Only the last can go on beyond: all warps sum parts of it, joined in shared
// memory, so that a word as frequent as "the" is not one warp's tail. Four columns a lane make
// accesses of 8 (bf16) or 16 bytes, whole sectors on both sides. Memory-bound: each gradient row
// is read once, each touched weight row read and written once; a lane has its weights and up to
// four gradient rows, 48 to 96 bytes, in flight at a time.
#include "kernels/device.h"
#include "kernels/embedding_gradient.h"

namespace caprl::kernels {
namespace {

constexpr int kNumWarps = 8, kBlock = kNumWarps * kWarp;
constexpr int kColumns = 8;               // of a lane
constexpr int kStrip = kColumns * kWarp;  // columns of a block
constexpr int kWideAccess = 4;            // consecutive columns of a lane

template <class T, int kWidth>
struct alignas(kWidth * sizeof(T)) Chunk {
  T values[kWidth];
};

/// The columns of a lane: kColumns / kWidth chunks, kWarp · kWidth columns apart.
template <int kWidth>
struct Columns {
  static constexpr int kChunks = kColumns / kWidth;
  int64_t first, width;

  __device__ int64_t at(int chunk) const { return first + chunk * kWarp * kWidth; }
  __device__ bool holds(int chunk) const { return at(chunk) < width; }
};

/// 32 consecutive places of the order, one a lane.
struct Places {
  int64_t token, id;
  bool valid;
};

template <class T>
__device__ Places read_places(const EmbeddingGradient<T>& gradient, int64_t place) {
  if (place < 0 || place >= gradient.num_tokens) return {0, 0, false};
  const int64_t token = gradient.order[place];
  return {token, gradient.ids[token], true};
}

/// Adds the rows of tokens that lanes begin … end − 1 hold. All lanes of the warp must take part.
template <class T, int kWidth>
__device__ void add_rows(const EmbeddingGradient<T>& gradient, const Columns<kWidth>& columns,
                         int64_t token, int begin, int end, float (&sums)[kColumns]) {
  using Row = Chunk<T, kWidth>;
  constexpr int kChunks = Columns<kWidth>::kChunks, kRowsInFlight = 8 / sizeof(T);
  for (int lane = begin; lane < end; lane += kRowsInFlight) {
    Row rows[kRowsInFlight][kChunks] = {};
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int64_t from = __shfl_sync(kAllLanes, token, (lane + i) % kWarp);
      const T* const row = gradient.d_out + from * gradient.width;
#pragma unroll
      for (int chunk = 0; chunk < kChunks; ++chunk)
        if (lane + i < end && columns.holds(chunk))
          rows[i][chunk] = *reinterpret_cast<const Row*>(row + columns.at(chunk));
    }
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i)
#pragma unroll
      for (int column = 0; column < kColumns; ++column)
        sums[column] += to_float(rows[i][column / kWidth].values[column % kWidth]);
  }
}

template <int kWidth>
__device__ void load_weights(const float* row, const Columns<kWidth>& columns,
                             float (&weights)[kColumns]) {
#pragma unroll
  for (int chunk = 0; chunk < Columns<kWidth>::kChunks; ++chunk) {
    Chunk<float, kWidth> loaded = {};
    if (columns.holds(chunk))
      loaded = *reinterpret_cast<const Chunk<float, kWidth>*>(row + columns.at(chunk));
#pragma unroll
    for (int i = 0; i < kWidth; ++i) weights[chunk * kWidth + i] = loaded.values[i];
  }
}

/// row = weights + sums.
template <int kWidth>
__device__ void store_weights(float* row, const Columns<kWidth>& columns,
                              const float (&weights)[kColumns], const float (&sums)[kColumns]) {
#pragma unroll
  for (int chunk = 0; chunk < Columns<kWidth>::kChunks; ++chunk) {
    if (!columns.holds(chunk)) continue;
    Chunk<float, kWidth> total;
#pragma unroll
    for (int i = 0; i < kWidth; ++i)
      total.values[i] = weights[chunk * kWidth + i] + sums[chunk * kWidth + i];
    *reinterpret_cast<Chunk<float, kWidth>*>(row + columns.at(chunk)) = total;
  }
}

/// A run that begins at `begin` and may be of any length, by the whole block: each warp sums every
/// kNumWarps-th stretch of 32 places. All threads of the block must take part.
template <class T, int kWidth>
__device__ void add_long_run(const EmbeddingGradient<T>& gradient, const Columns<kWidth>& columns,
                             int64_t begin, int64_t id, int warp, int lane) {
  __shared__ float partial[kNumWarps][kStrip];
  float sums[kColumns] = {};
  unsigned members = kAllLanes;
  for (int64_t place = begin + warp * kWarp + lane; members == kAllLanes; place += kBlock) {
    const Places places = read_places(gradient, place);
    members = __ballot_sync(kAllLanes, places.valid && places.id == id);
    add_rows(gradient, columns, places.token, 0, __popc(members), sums);
  }
#pragma unroll
  for (int column = 0; column < kColumns; ++column)
    partial[warp][column * kWarp + lane] = sums[column];
  __syncthreads();
  if (warp != 0) return;
#pragma unroll
  for (int column = 0; column < kColumns; ++column) {
    sums[column] = 0;
    for (int from = 0; from < kNumWarps; ++from)
      sums[column] += partial[from][column * kWarp + lane];
  }
  float* const row = gradient.d_weight + id * gradient.width;
  float weights[kColumns];
  load_weights(row, columns, weights);
  store_weights(row, columns, weights, sums);
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock) sum_runs(const EmbeddingGradient<T> gradient) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kWarp;
  const Columns<kWidth> columns{static_cast<int64_t>(blockIdx.y) * kStrip + lane * kWidth,
                                gradient.width};
  const Places here = read_places(gradient, first + lane);
  const Places before = read_places(gradient, lane == 0 ? first - 1 : gradient.num_tokens);
  const Places after = read_places(gradient, lane == kWarp - 1 ? first + kWarp : -1);
  const int64_t left = __shfl_sync(kAllLanes, here.id, (lane + kWarp - 1) % kWarp);
  const bool joins_left = lane == 0 ? before.valid && before.id == here.id : left == here.id;
  const unsigned begins = __ballot_sync(kAllLanes, here.valid && !joins_left);
  const unsigned filled = __ballot_sync(kAllLanes, here.valid);
  // Only the last lane can see it, and only if all lanes are filled.
  const bool goes_on = __ballot_sync(kAllLanes, after.valid && after.id == here.id) != 0;

  const auto begins_at = [=](int place) { return (begins >> place & 1u) != 0; };
  for (int begin = warp; begin < kWarp; begin += kNumWarps) {
    if (!begins_at(begin)) continue;
    int end = begin + 1;
    while (end < kWarp && (filled >> end & 1u) != 0 && !begins_at(end)) ++end;
    const int64_t id = __shfl_sync(kAllLanes, here.id, begin);
    if (id == gradient.skip_id || (goes_on && end == kWarp)) continue;
    float* const row = gradient.d_weight + id * gradient.width;
    float weights[kColumns], sums[kColumns] = {};
    load_weights(row, columns, weights);  // on its way while the gradients are read
    add_rows(gradient, columns, here.token, begin, end, sums);
    store_weights(row, columns, weights, sums);
  }

  const int64_t last_id = __shfl_sync(kAllLanes, here.id, kWarp - 1);
  if (!goes_on || begins == 0 || last_id == gradient.skip_id) return;
  const int begin = kWarp - 1 - __clz(static_cast<int>(begins));
  add_long_run(gradient, columns, first + begin, last_id, warp, lane);
}

}  // namespace

template <class T>
void embedding_gradient(const EmbeddingGradient<T>& gradient, Stream stream) {
  const dim3 grid(static_cast<unsigned>((gradient.num_tokens + kWarp - 1) / kWarp),
                  static_cast<unsigned>((gradient.width + kStrip - 1) / kStrip));
  const bool wide = gradient.width % kWideAccess == 0 && aligned16(gradient.d_weight) &&
                    reinterpret_cast<uintptr_t>(gradient.d_out) % (kWideAccess * sizeof(T)) == 0;
  launch(wide ? sum_runs<T, kWideAccess> : sum_runs<T, 1>, grid, kBlock, 0, stream, gradient);
}

template void embedding_gradient(const EmbeddingGradient<float>&, Stream);
template void embedding_gradient(const EmbeddingGradient<Bf16>&, Stream);

}  // namespace caprl::kernels
