// SwiGLU and its gradient: rows of F values in, rows out, nothing kept between them.
//
// Idea: the forward pass reads 2 values and writes 1, the backward pass reads 3 and writes 2 (it
// recomputes silu instead of reading it), so both are bound by memory. A row belongs to one block,
// or several narrow rows do, side by side. Each thread reads 2 × 16 bytes of every operand before
// it computes: 64 to 96 bytes in flight a thread are more than an H200 needs at half occupancy.
// Columns are split by strides of the row's threads, so that no division is spent on an index.
#include "kernels/swiglu.h"

#include <algorithm>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kInFlight = 2;             // units of each operand a thread reads at once
constexpr int kBlocksPerProcessor = 32;  // resident ones and as many waiting, to even out the end
constexpr int kBlocksOfFewRows = 4;      // for a multiprocessor, where rows alone would be fewer

/// A row as units, Packs or Singles. Indexed by unit, for nvcc splits a store of 16 bytes whose
/// address it sees as an index of values.
template <class Unit, class T>
__device__ const Unit* units_of(const T* values, int64_t row, int64_t stride) {
  return reinterpret_cast<const Unit*>(values + row * stride);
}
template <class Unit, class T>
__device__ Unit* units_of(T* values, int64_t row, int64_t stride) {
  return reinterpret_cast<Unit*>(values + row * stride);
}

/// 1 / (1 + e⁻ˣ), relative error ≤ 2⁻²⁴ (1.25 max(0, −x) + 12); 0 where e⁻ˣ > 2¹²⁶. 2ˣ and the
/// quotient in their quick forms, for precise ones cost as much time as the memory allows in all.
__device__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + exp2f(-kLog2E * x)); }

template <class T>
__device__ float rounded_silu(float gate, float sigmoid_of_gate) {
  return to_float(from_float<T>(gate * sigmoid_of_gate));
}

template <class T, class Unit>
struct Forward {
  SwiGlu<T> a;
  struct Values {
    Unit gate, up;
  };

  __device__ Values read(int64_t row, int unit) const {
    return {units_of<Unit>(a.gate, row, a.gate_stride)[unit],
            units_of<Unit>(a.up, row, a.up_stride)[unit]};
  }
  __device__ void write(int64_t row, int unit, const Values& in) const {
    Unit out;
#pragma unroll
    for (int i = 0; i < Unit::kSize; ++i) {
      const float gate = to_float(in.gate.values[i]);
      const float silu = rounded_silu<T>(gate, sigmoid(gate));
      out.values[i] = from_float<T>(silu * to_float(in.up.values[i]));
    }
    units_of<Unit>(a.out, row, a.out_stride)[unit] = out;
  }
};

template <class T, class Unit>
struct Backward {
  SwiGluBackward<T> a;
  struct Values {
    Unit gate, up, dout;
  };

  __device__ Values read(int64_t row, int unit) const {
    return {units_of<Unit>(a.gate, row, a.gate_stride)[unit],
            units_of<Unit>(a.up, row, a.up_stride)[unit],
            units_of<Unit>(a.dout, row, a.dout_stride)[unit]};
  }
  __device__ void write(int64_t row, int unit, const Values& in) const {
    Unit dgate, dup;
#pragma unroll
    for (int i = 0; i < Unit::kSize; ++i) {
      const float gate = to_float(in.gate.values[i]), dout = to_float(in.dout.values[i]);
      const float s = sigmoid(gate);
      const float slope = s * (1.0f + gate * (1.0f - s));
      dgate.values[i] = from_float<T>(dout * to_float(in.up.values[i]) * slope);
      dup.values[i] = from_float<T>(dout * rounded_silu<T>(gate, s));
    }
    units_of<Unit>(a.dgate, row, a.dgate_stride)[unit] = dgate;
    units_of<Unit>(a.dup, row, a.dup_stride)[unit] = dup;
  }
};

/// `lanes` threads, a power of two up to the block's size, go over a row together; with few rows
/// gridDim.y blocks do.
template <class Unit, class Work>
__global__ void __launch_bounds__(kThreads) rows_kernel(Work work, int lanes) {
  const int groups = static_cast<int>(blockDim.x) / lanes;
  const int group = static_cast<int>(threadIdx.x) / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int units = static_cast<int>(work.a.width / Unit::kSize), sweep = kInFlight * lanes;
  const int64_t num_rows = work.a.num_rows, row_step = int64_t{gridDim.x} * groups;
  for (int64_t row = int64_t{blockIdx.x} * groups + group; row < num_rows; row += row_step) {
    for (int first = lane + static_cast<int>(blockIdx.y) * sweep; first < units;
         first += static_cast<int>(gridDim.y) * sweep) {
      typename Work::Values values[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k)
        if (first + k * lanes < units) values[k] = work.read(row, first + k * lanes);
#pragma unroll
      for (int k = 0; k < kInFlight; ++k)
        if (first + k * lanes < units) work.write(row, first + k * lanes, values[k]);
    }
  }
}

template <class Unit, class Work>
void launch_rows(const Work& work, Stream stream) {
  const int64_t num_rows = work.a.num_rows, width = work.a.width;
  if (num_rows == 0 || width == 0) return;
  int lanes = 1;
  while (lanes < kThreads && lanes * Unit::kSize * kInFlight < width) lanes *= 2;
  const int groups = kThreads / lanes;
  const int64_t blocks = std::min<int64_t>((num_rows + groups - 1) / groups,
                                           int64_t{num_multiprocessors()} * kBlocksPerProcessor);
  const int64_t sweeps = (width / Unit::kSize + kInFlight * lanes - 1) / (kInFlight * lanes);
  const int64_t slices =
      std::clamp<int64_t>(int64_t{num_multiprocessors()} * kBlocksOfFewRows / blocks, 1, sweeps);
  launch(rows_kernel<Unit, Work>,
         dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(slices)), kThreads, 0, stream,
         work, lanes);
}

/// Whether every row of `width` values begins and ends at a multiple of 16 bytes.
template <class T, class... Strides>
bool whole_packs(int64_t width, Strides... strides) {
  return ((width | ... | strides) % Pack<T>::kSize) == 0;
}

}  // namespace

template <class T>
void swiglu(const SwiGlu<T>& a, Stream stream) {
  if (aligned16(a.gate, a.up, a.out) &&
      whole_packs<T>(a.width, a.gate_stride, a.up_stride, a.out_stride))
    launch_rows<Pack<T>>(Forward<T, Pack<T>>{a}, stream);
  else
    launch_rows<Single<T>>(Forward<T, Single<T>>{a}, stream);
}

template <class T>
void swiglu_backward(const SwiGluBackward<T>& a, Stream stream) {
  if (aligned16(a.gate, a.up, a.dout, a.dgate, a.dup) &&
      whole_packs<T>(a.width, a.gate_stride, a.up_stride, a.dout_stride, a.dgate_stride,
                     a.dup_stride))
    launch_rows<Pack<T>>(Backward<T, Pack<T>>{a}, stream);
  else
    launch_rows<Single<T>>(Backward<T, Single<T>>{a}, stream);
}

template void swiglu<float>(const SwiGlu<float>&, Stream);
template void swiglu<Bf16>(const SwiGlu<Bf16>&, Stream);
template void swiglu_backward<float>(const SwiGluBackward<float>&, Stream);
template void swiglu_backward<Bf16>(const SwiGluBackward<Bf16>&, Stream);

}  // namespace caprl::kernels
