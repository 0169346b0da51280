// The gate of a SwiGLU feed-forward layer (Shazeer, arXiv 2002.05202) and its gradient.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// out = round(silu(gate)) · up with silu(x) = x / (1 + e⁻ˣ): computed in float, rounded to T after
/// silu as transformers does, and once more as `out`.
///
/// Device pointers to N rows of F values; an operand's rows are its stride (≥ F values) apart, so
/// gate and up may be the halves of one [N, 2F] product. Any alignment; wide access where every row
/// of every operand is 16-byte aligned and F is whole packs of 16 bytes. `out` may be `gate` or
/// `up` with the same stride; NaN reaches the output. F < 2³⁰.
template <class T>
struct SwiGlu {
  const T* gate = nullptr;
  const T* up = nullptr;
  T* out = nullptr;
  int64_t gate_stride = 0, up_stride = 0, out_stride = 0;
  int64_t num_rows = 0, width = 0;  // N, F
};

/// With s = 1 / (1 + e⁻ᵍᵃᵗᵉ):
///   dgate = dout · up · s · (1 + gate · (1 − s)), rounded once,
///   dup   = dout · round(silu(gate)), the gradient of what the forward pass computed.
/// Either output may be gate, up or dout with the same stride.
template <class T>
struct SwiGluBackward {
  const T* gate = nullptr;
  const T* up = nullptr;
  const T* dout = nullptr;
  T* dgate = nullptr;
  T* dup = nullptr;
  int64_t gate_stride = 0, up_stride = 0, dout_stride = 0, dgate_stride = 0, dup_stride = 0;
  int64_t num_rows = 0, width = 0;
};

/// T: float, Bf16.
template <class T>
void swiglu(const SwiGlu<T>& rows, Stream stream);
template <class T>
void swiglu_backward(const SwiGluBackward<T>& rows, Stream stream);

}  // namespace caprl::kernels
