#include "kernels/paged_attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/composed_attention.h"
#include "ops/elements.h"
#include "ops/fused/attention_plan.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {
namespace {

/// q [M, Hq, D] of the plan's short chunks.
at::Tensor attend_short(const at::Tensor& q, const KvPages& pages, const AttentionPlan& plan) {
  const at::Tensor queries = q.contiguous();
  at::Tensor out = at::empty(q.sizes(), q.options());
  const at::Tensor partial =
      at::empty({kernels::paged_attention_workspace(plan.num_slots, q.size(1), q.size(2))},
                q.options().dtype(at::kFloat));
  kernels::PagedAttention work;
  work.q = data<kernels::Bf16>(queries);
  work.k_pages = data<kernels::Bf16>(pages.k);
  work.v_pages = data<kernels::Bf16>(pages.v);
  work.out = data<kernels::Bf16>(out);
  work.num_tokens = q.size(0);
  work.num_q_heads = q.size(1);
  work.num_kv_heads = pages.k.size(2);
  work.head_dim = q.size(2);
  work.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(q.size(2))));
  work.parts = reinterpret_cast<const kernels::AttentionPart*>(plan.parts());
  work.lengths = plan.lengths();
  work.slots = plan.first_slots();
  work.num_parts = plan.num_parts;
  work.num_slots = plan.num_slots;
  work.partial = data<float>(partial);
  kernels::paged_attention(work, stream_of(q));
  return out;
}

/// q [L, Hq, D] of the plan's long chunks.
at::Tensor attend_long(const at::Tensor& q, const KvPages& pages, const AttentionPlan& plan) {
  const auto seen = [&](const at::Tensor& x) {
    return x.view({-1, x.size(2), x.size(3)}).index_select(0, plan.long_places);
  };
  return attend_sequences(q.contiguous(), seen(pages.k), seen(pages.v), plan.long_queries,
                          plan.long_keys, /*causal=*/true)
      .out;
}

}  // namespace

bool has_attention_kernel(int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype) {
  return dtype == at::kBFloat16 && (head_dim == 64 || head_dim == 128) &&
         heads / kv_heads <= kernels::kAttentionRows;
}

bool paged_attention(const at::Tensor& q_given, const at::Tensor& k, const at::Tensor& v,
                     const RotaryTable& table, KvPages& pages, const PagedBatch& batch,
                     at::Tensor& out) {
  if (!has_attention_kernel(q_given.size(1), k.size(1), q_given.size(2), q_given.scalar_type()))
    return false;
  if (!batch.plan)
    batch.plan = std::make_shared<AttentionPlan>(
        batch, kernels::kAttentionRows / (q_given.size(1) / k.size(1)), q_given.device());
  const AttentionPlan& plan = *batch.plan;
  at::Tensor q = q_given;
  if (table.cos.defined())
    q = rotate_to_pages(q, k, v, table, pages, plan.slots);
  else
    put_on_pages(k, v, pages, plan.slots);
  if (!plan.long_places.defined()) {
    out = attend_short(q, pages, plan);
  } else if (plan.num_short == 0) {
    out = attend_long(q, pages, plan);
  } else {
    out = at::empty(q.sizes(), q.options());
    out.index_copy_(0, plan.long_tokens,
                    attend_long(q.index_select(0, plan.long_tokens), pages, plan));
    out.index_copy_(0, plan.short_tokens,
                    attend_short(q.index_select(0, plan.short_tokens), pages, plan));
  }
  return true;
}

}  // namespace caprl::ops::fused
