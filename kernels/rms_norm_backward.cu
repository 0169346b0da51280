// The gradient of rms_norm.
//
// Idea: one read of x and dy and one write of dx; a thread holds 8 values of a row in registers
// between the row's sum and its use. It adds up dweight for these columns over all rows it sees;
// blocks add their threads' sums into a row of the workspace, and a second kernel adds these up,
// all in fixed order. Some hundred rows of partial sums cost a few percent of the traffic. Rows
// that are not aligned, or longer than 8192 values, are read twice, value by value.
#include <algorithm>

#include "kernels/device.h"
#include "kernels/partial_sums.h"
#include "kernels/rms_norm.h"
#include "kernels/rms_norm_rows.h"

namespace caprl::kernels {
namespace {

constexpr int kValues = 8;  // values of a row for a thread
template <class T>
constexpr int kHeld = kValues / Pack<T>::kSize;  // packs of a row that it holds
// What fills the 132 processors of an H100 or H200. A constant, so that the order of additions is
// the same on every device.
constexpr int kThreadsOfGrid = 132 * 1024;
constexpr int kMinRows = 4;  // of a thread, for a block's partial sum to be worth its traffic

/// d loss / d x of one value, but for the part along the row and what is added.
struct Term {
  float normalised, through;
};
template <class T>
__device__ Term term(T x, T dy, T weight, float scale) {
  return {to_float(x) * scale, to_float(dy) * to_float(weight)};
}

/// The block's sum of dweight into its row of the workspace.
template <class T>
__device__ void write_partial(const float (&dweight)[kHeld<T>][Pack<T>::kSize], const Place& at,
                              const RmsNormBackward<T>& a) {
  constexpr int kSize = Pack<T>::kSize, kFloats = Pack<float>::kSize;
  CAPRL_DYNAMIC_SHARED(float, sums);  // [groups, H] where there are several
  const int width = static_cast<int>(a.width);
  float* const result = a.workspace + blockIdx.x * a.width;
  Pack<float>* const own = as_packs(at.groups > 1 ? sums + at.group * width : result);
#pragma unroll
  for (int k = 0; k < kHeld<T>; ++k) {
    const int pack = at.lane + k * at.lanes;
    if (pack >= width / kSize) continue;
#pragma unroll
    for (int i = 0; i < kSize; i += kFloats) {
      Pack<float> part;
#pragma unroll
      for (int j = 0; j < kFloats; ++j) part.values[j] = dweight[k][i + j];
      own[(pack * kSize + i) / kFloats] = part;
    }
  }
  if (at.groups == 1) return;
  __syncthreads();
  for (int column = static_cast<int>(threadIdx.x); column < width;
       column += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int group = 0; group < at.groups; ++group) sum += sums[group * width + column];
    result[column] = sum;
  }
}

template <class T>
__global__ void __launch_bounds__(kMaxThreads) packs_kernel(RmsNormBackward<T> a, int lanes) {
  constexpr int kSize = Pack<T>::kSize;
  const Place at(lanes);
  const int count = static_cast<int>(a.width / kSize);
  float dweight[kHeld<T>][kSize] = {};
  int turn = 0;
  for (int64_t first = at.first; first < a.num_rows; first += at.step, turn ^= 1) {
    const int64_t row = first + at.group;
    const int own = row < a.num_rows ? count : 0;
    Pack<T> weight[kHeld<T>], x[kHeld<T>], dy[kHeld<T>], dsum[kHeld<T>] = {};
    read(x, packs(a.x, row, a.x_stride), at.lane, lanes, own);
    read(weight, packs(a.weight, 0, 0), at.lane, lanes, own);
    read(dy, packs(a.dy, row, a.dy_stride), at.lane, lanes, own);
    if (a.dsum != nullptr) read(dsum, packs(a.dsum, row, a.dsum_stride), at.lane, lanes, own);
    const float scale = own > 0 ? a.scale[row] : 0.0f;
    float along = 0;
#pragma unroll
    for (int k = 0; k < kHeld<T>; ++k) {
      if (at.lane + k * lanes >= own) continue;
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const Term t = term(x[k].values[i], dy[k].values[i], weight[k].values[i], scale);
        along += t.through * t.normalised;
        dweight[k][i] += to_float(dy[k].values[i]) * t.normalised;
      }
    }
    along = row_sum(along, lanes, turn) / static_cast<float>(a.width);
#pragma unroll
    for (int k = 0; k < kHeld<T>; ++k) {
      if (at.lane + k * lanes >= own) continue;
      Pack<T> dx;
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const Term t = term(x[k].values[i], dy[k].values[i], weight[k].values[i], scale);
        dx.values[i] =
            from_float<T>(scale * (t.through - t.normalised * along) + to_float(dsum[k].values[i]));
      }
      packs(a.dx, row, a.dx_stride)[at.lane + k * lanes] = dx;
    }
  }
  if (a.dweight != nullptr) write_partial(dweight, at, a);
}

/// Any alignment and length; a block's partial sum grows in its row of the workspace.
template <class T>
__global__ void __launch_bounds__(kThreads) values_kernel(RmsNormBackward<T> a) {
  const int lane = static_cast<int>(threadIdx.x), lanes = static_cast<int>(blockDim.x);
  const int width = static_cast<int>(a.width);
  float* const partial = a.dweight != nullptr ? a.workspace + blockIdx.x * a.width : nullptr;
  if (partial != nullptr)
    for (int j = lane; j < width; j += lanes) partial[j] = 0;
  int turn = 0;
  for (int64_t row = blockIdx.x; row < a.num_rows; row += gridDim.x, turn ^= 1) {
    const T* const x = a.x + row * a.x_stride;
    const T* const dy = a.dy + row * a.dy_stride;
    const float scale = a.scale[row];
    float along = 0;
    for (int j = lane; j < width; j += lanes) {
      const Term t = term(x[j], dy[j], a.weight[j], scale);
      along += t.through * t.normalised;
      if (partial != nullptr) partial[j] += to_float(dy[j]) * t.normalised;
    }
    along = row_sum(along, lanes, turn) / static_cast<float>(width);
    for (int j = lane; j < width; j += lanes) {
      const Term t = term(x[j], dy[j], a.weight[j], scale);
      const float added = a.dsum != nullptr ? to_float(a.dsum[row * a.dsum_stride + j]) : 0.0f;
      a.dx[row * a.dx_stride + j] =
          from_float<T>(scale * (t.through - t.normalised * along) + added);
    }
  }
}

/// Blocks of a backward pass, and so rows of partial sums.
int64_t num_blocks(int64_t num_rows, const Layout& layout) {
  return std::min<int64_t>(ceil_div(num_rows, int64_t{layout.groups} * kMinRows),
                           kThreadsOfGrid / layout.threads());
}

template <class T>
Layout layout_by_pack(int64_t width) {
  return layout_of(width / Pack<T>::kSize, kHeld<T>, kMaxThreads);
}
Layout layout_by_value(int64_t width) {
  const Layout layout = layout_of(width, kValues, kThreads);
  return {std::max(layout.lanes, kWarp), 1};
}

}  // namespace

template <class T>
void rms_norm_backward(const RmsNormBackward<T>& a, Stream stream) {
  if (a.num_rows == 0 || a.width == 0) return;
  const int64_t dsum_stride = a.dsum != nullptr ? a.dsum_stride : 0;
  const bool wide = aligned16(a.dy, a.x, a.weight, a.dsum, a.dx) &&
                    fits<T>(kHeld<T>, a.width, a.dy_stride, a.x_stride, dsum_stride, a.dx_stride);
  const Layout layout = wide ? layout_by_pack<T>(a.width) : layout_by_value(a.width);
  const int64_t blocks = num_blocks(a.num_rows, layout);
  const dim3 grid(static_cast<unsigned>(blocks));
  if (wide) {
    const bool shared = a.dweight != nullptr && layout.groups > 1;
    launch(packs_kernel<T>, grid, layout.threads(),
           shared ? layout.groups * a.width * sizeof(float) : 0, stream, a, layout.lanes);
  } else {
    launch(values_kernel<T>, grid, layout.threads(), 0, stream, a);
  }
  if (a.dweight != nullptr) add_partials(a.workspace, blocks, a.width, a.dweight, stream);
}

template <class T>
int64_t rms_norm_workspace(int64_t num_rows, int64_t width) {
  return width * std::max(num_blocks(num_rows, layout_by_pack<T>(width)),
                          num_blocks(num_rows, layout_by_value(width)));
}

template void rms_norm_backward<float>(const RmsNormBackward<float>&, Stream);
template void rms_norm_backward<Bf16>(const RmsNormBackward<Bf16>&, Stream);
template int64_t rms_norm_workspace<float>(int64_t, int64_t);
template int64_t rms_norm_workspace<Bf16>(int64_t, int64_t);

}  // namespace caprl::kernels
