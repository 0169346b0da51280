// Sums over rows, bound by reading them once.
//
// Idea: a warp's lanes take 16 bytes of neighbouring columns each, its block's warps rows in turn,
// four of them in flight; the block adds its warps' sums up in shared memory and leaves one row of
// partial sums. Rows are split among as many blocks as fill the processors, but not so far that
// partial sums cost more than a few percent.
#include "kernels/column_sums.h"

#include <algorithm>

#include "kernels/partial_sums.h"

namespace caprl::kernels {
namespace {

constexpr int kWarps = 8;            // of a block
constexpr int kInFlight = 4;         // rows a warp reads at once
constexpr int kMinRows = 64;         // of a block
constexpr int kBlocksOfGrid = 1056;  // 8 for each processor of an H100 or H200

/// `Unit`: the columns that a lane reads at once.
template <class Unit, class T>
__global__ void __launch_bounds__(kWarps* kWarp) sum_rows(ColumnSums<T> a, int64_t rows_of_block) {
  constexpr int kSize = Unit::kSize;
  __shared__ float sums[kWarps][kWarp * kSize];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t column = (int64_t{blockIdx.x} * kWarp + lane) * kSize;
  const int64_t first = int64_t{blockIdx.y} * rows_of_block;
  const int64_t end = first + rows_of_block < a.num_rows ? first + rows_of_block : a.num_rows;
  float sum[kSize] = {};
  if (column < a.width) {
    for (int64_t row = first + warp; row < end; row += kInFlight * kWarps) {
      Unit units[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k)
        if (row + k * kWarps < end)
          units[k] = *reinterpret_cast<const Unit*>(a.x + (row + k * kWarps) * a.stride + column);
#pragma unroll
      for (int k = 0; k < kInFlight; ++k)
        if (row + k * kWarps < end)
#pragma unroll
          for (int i = 0; i < kSize; ++i) sum[i] += to_float(units[k].values[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kSize; ++i) sums[warp][lane * kSize + i] = sum[i];
  __syncthreads();
  const int64_t base = int64_t{blockIdx.x} * kWarp * kSize;
  for (int i = static_cast<int>(threadIdx.x); i < kWarp * kSize; i += kWarps * kWarp) {
    if (base + i >= a.width) continue;
    float total = sums[0][i];
    for (int other = 1; other < kWarps; ++other) total += sums[other][i];
    a.workspace[blockIdx.y * a.width + base + i] = total;
  }
}

/// How rows are split; by columns as if each lane had the fewest, so that the order of additions
/// does not depend on alignment.
int64_t num_splits(int64_t num_rows, int64_t width) {
  const int64_t tiles = (width + 8 * kWarp - 1) / (8 * kWarp);
  const int64_t wanted = std::max<int64_t>(kBlocksOfGrid / tiles, 1);
  return std::clamp<int64_t>((num_rows + kMinRows - 1) / kMinRows, 1, wanted);
}

template <class Unit, class T>
void launch_sums(const ColumnSums<T>& a, Stream stream) {
  const int64_t splits = num_splits(a.num_rows, a.width), columns = int64_t{kWarp} * Unit::kSize;
  const dim3 grid(static_cast<unsigned>((a.width + columns - 1) / columns),
                  static_cast<unsigned>(splits));
  launch(sum_rows<Unit, T>, grid, kWarps * kWarp, 0, stream, a, (a.num_rows + splits - 1) / splits);
  add_partials(a.workspace, splits, a.width, a.sums, stream);
}

}  // namespace

template <class T>
void column_sums(const ColumnSums<T>& a, Stream stream) {
  if (a.num_rows == 0 || a.width == 0) return;
  if (aligned16(a.x) && (a.width | a.stride) % Pack<T>::kSize == 0)
    launch_sums<Pack<T>>(a, stream);
  else
    launch_sums<Single<T>>(a, stream);
}

int64_t column_sums_workspace(int64_t num_rows, int64_t width) {
  return num_splits(num_rows, width) * width;
}

template void column_sums<float>(const ColumnSums<float>&, Stream);
template void column_sums<Bf16>(const ColumnSums<Bf16>&, Stream);

}  // namespace caprl::kernels
