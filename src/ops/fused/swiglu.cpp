#include "kernels/swiglu.h"

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor out = at::empty(gate.sizes(), gate.options());
  const at::Tensor gates = as_rows(gate), ups = as_rows(up), outs = as_rows(out);
  with_element(gate.scalar_type(), [&](auto element) {
    using T = decltype(element);
    kernels::SwiGlu<T> work;
    work.gate = data<T>(gates);
    work.up = data<T>(ups);
    work.out = data<T>(outs);
    work.gate_stride = gates.stride(0);
    work.up_stride = ups.stride(0);
    work.out_stride = outs.stride(0);
    work.num_rows = gates.size(0);
    work.width = gates.size(1);
    kernels::swiglu(work, stream_of(gate));
  });
  return out;
}

at::Tensor swiglu_backward(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& g) {
  const int64_t width = gate.size(-1);
  auto shape = gate.sizes().vec();
  shape.back() = 2 * width;
  at::Tensor d_both = at::empty(shape, gate.options());
  const at::Tensor gates = as_rows(gate), ups = as_rows(up), gs = as_rows(g);
  const at::Tensor rows = as_rows(d_both);
  const at::Tensor d_gates = rows.narrow(1, 0, width), d_ups = rows.narrow(1, width, width);
  with_element(gate.scalar_type(), [&](auto element) {
    using T = decltype(element);
    kernels::SwiGluBackward<T> work;
    work.gate = data<T>(gates);
    work.up = data<T>(ups);
    work.dout = data<T>(gs);
    work.dgate = data<T>(d_gates);
    work.dup = data<T>(d_ups);
    work.gate_stride = gates.stride(0);
    work.up_stride = ups.stride(0);
    work.dout_stride = gs.stride(0);
    work.dgate_stride = d_gates.stride(0);
    work.dup_stride = d_ups.stride(0);
    work.num_rows = gates.size(0);
    work.width = gates.size(1);
    kernels::swiglu_backward(work, stream_of(gate));
  });
  return d_both;
}

}  // namespace caprl::ops::fused
