#include "kernels/rotary.h"

#include <ATen/ATen.h>

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {
namespace {

/// What both operations set: q and k turned, q to `q_out`.
template <class T, class Table>
kernels::Rotary<T, Table> work_of(const at::Tensor& q, const at::Tensor& k,
                                  const RotaryTable& table, at::Tensor& q_out) {
  kernels::Rotary<T, Table> work;
  work.num_rows = q.size(0);
  work.num_q_heads = q.size(1);
  work.num_kv_heads = k.size(1);
  work.head_dim = q.size(2);
  work.cos = data<Table>(table.cos);
  work.sin = data<Table>(table.sin);
  work.q = {data<T>(q), q.stride(0), nullptr};
  work.k = {data<T>(k), k.stride(0), nullptr};
  work.q_out = {data<T>(q_out), q_out.stride(0)};
  return work;
}

/// run(T(), Table()) with the element types of heads and table.
template <class Run>
void with_elements(const at::Tensor& heads, const RotaryTable& table, Run run) {
  if (heads.scalar_type() == at::kFloat)
    run(float(), float());
  else if (table.cos.scalar_type() == at::kBFloat16)
    run(kernels::Bf16(), kernels::Bf16());
  else
    run(kernels::Bf16(), float());
}

RotaryTable contiguous(const RotaryTable& table) {
  return {table.cos.contiguous(), table.sin.contiguous()};
}

}  // namespace

std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  const at::Tensor queries = with_adjacent_heads(q), keys = with_adjacent_heads(k);
  const RotaryTable angles = contiguous(table);
  at::Tensor q_out = at::empty(q.sizes(), q.options()), k_out = at::empty(k.sizes(), k.options());
  with_elements(q, table, [&]<class T, class Table>(T, Table) {
    auto work = work_of<T, Table>(queries, keys, angles, q_out);
    work.k_out = {data<T>(k_out), k_out.stride(0)};
    kernels::rotary_forward(work, stream_of(q));
  });
  return {q_out, k_out};
}

at::Tensor rotate_to_pages(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const at::Tensor& slots) {
  const at::Tensor queries = with_adjacent_heads(q), keys = with_adjacent_heads(k);
  const at::Tensor values = with_adjacent_heads(v);
  const RotaryTable angles = contiguous(table);
  at::Tensor q_out = at::empty(q.sizes(), q.options());
  with_elements(q, table, [&]<class T, class Table>(T, Table) {
    auto work = work_of<T, Table>(queries, keys, angles, q_out);
    work.v = {data<T>(values), values.stride(0), nullptr};
    work.k_pages = data<T>(pages.k);
    work.v_pages = data<T>(pages.v);
    work.slots = data<int64_t>(slots);
    kernels::rotary_forward(work, stream_of(q));
  });
  return q_out;
}

}  // namespace caprl::ops::fused
