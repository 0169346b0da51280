#include "kernels/rotary.h"

#include <ATen/ATen.h>

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {
namespace {

template <class T, class Table>
void run(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table, at::Tensor& q_out,
         at::Tensor& k_out) {
  const at::Tensor cos = table.cos.contiguous(), sin = table.sin.contiguous();
  kernels::Rotary<T, Table> work;
  work.num_rows = q.size(0);
  work.num_q_heads = q.size(1);
  work.num_kv_heads = k.size(1);
  work.head_dim = q.size(2);
  work.cos = data<Table>(cos);
  work.sin = data<Table>(sin);
  work.q = {data<T>(q), q.stride(0), nullptr};
  work.k = {data<T>(k), k.stride(0), nullptr};
  work.q_out = {data<T>(q_out), q_out.stride(0)};
  work.k_out = {data<T>(k_out), k_out.stride(0)};
  kernels::rotary_forward(work, stream_of(q));
}

}  // namespace

std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  const at::Tensor queries = with_adjacent_heads(q), keys = with_adjacent_heads(k);
  at::Tensor q_out = at::empty(q.sizes(), q.options()), k_out = at::empty(k.sizes(), k.options());
  const bool rounded_table = table.cos.scalar_type() == at::kBFloat16;
  if (q.scalar_type() == at::kFloat)
    run<float, float>(queries, keys, table, q_out, k_out);
  else if (rounded_table)
    run<kernels::Bf16, kernels::Bf16>(queries, keys, table, q_out, k_out);
  else
    run<kernels::Bf16, float>(queries, keys, table, q_out, k_out);
  return {q_out, k_out};
}

}  // namespace caprl::ops::fused
