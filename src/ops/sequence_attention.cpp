#include "caprl/ops/sequence_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "caprl/ops/upload.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

/// Rows of sequence s.
at::Tensor rows(const at::Tensor& x, const Sequences& sequences, size_t s) {
  return x.narrow(0, sequences.bounds[s], sequences.bounds[s + 1] - sequences.bounds[s]);
}

at::ScalarType exact(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// [H, length, D] of one sequence, heads repeated as often as queries need.
at::Tensor heads(const at::Tensor& x, int64_t num_heads) {
  return x.transpose(0, 1).to(exact(x)).repeat_interleave(num_heads / x.size(1), 0);
}

/// [H, queries, keys] of one sequence.
at::Tensor scores(const at::Tensor& q, const at::Tensor& k, bool causal) {
  const at::Tensor all =
      at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
  if (!causal) return all;
  const at::Tensor seen =
      at::ones({q.size(1), k.size(1)}, q.options().dtype(at::kBool)).tril(k.size(1) - q.size(1));
  return all.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
}

Attended composed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const Sequences& queries, const Sequences& keys, bool causal) {
  const int64_t H = q.size(1);
  Attended result{at::empty_like(q, at::MemoryFormat::Contiguous),
                  at::empty({H, q.size(0)}, q.options().dtype(exact(q)))};
  for (size_t s = 0; s + 1 < queries.bounds.size(); ++s) {
    const at::Tensor mine = rows(q, queries, s);
    if (mine.size(0) == 0) continue;
    const at::Tensor score = scores(heads(mine, H), heads(rows(k, keys, s), H), causal);
    const at::Tensor lse = score.logsumexp(2);  // −∞ without keys
    const at::Tensor weights = (score - lse.unsqueeze(2)).exp();
    rows(result.out, queries, s)
        .copy_(at::matmul(weights, heads(rows(v, keys, s), H)).transpose(0, 1));
    result.lse.narrow(1, queries.bounds[s], mine.size(0)).copy_(lse);
  }
  return result;
}

/// Sum over the heads of queries that share one of keys: [H, length, D] → [length, Hkv, D].
at::Tensor shared_heads(const at::Tensor& x, int64_t kv_heads) {
  return x.view({kv_heads, -1, x.size(1), x.size(2)}).sum(1).transpose(0, 1);
}

AttentionGradients composed_backward(const at::Tensor& g, const at::Tensor& q, const at::Tensor& k,
                                     const at::Tensor& v, const Attended& attended,
                                     const Sequences& queries, const Sequences& keys, bool causal) {
  const int64_t H = q.size(1), Hkv = k.size(1);
  AttentionGradients d{at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)};
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  for (size_t s = 0; s + 1 < queries.bounds.size(); ++s) {
    const at::Tensor mine = rows(q, queries, s);
    if (mine.size(0) == 0) continue;
    const at::Tensor qs = heads(mine, H), ks = heads(rows(k, keys, s), H);
    const at::Tensor vs = heads(rows(v, keys, s), H), gs = heads(rows(g, queries, s), H);
    const at::Tensor lse = attended.lse.narrow(1, queries.bounds[s], mine.size(0)).unsqueeze(2);
    const at::Tensor weights = (scores(qs, ks, causal) - lse).exp();
    const at::Tensor mean = (gs * heads(rows(attended.out, queries, s), H)).sum(2, true);
    const at::Tensor d_scores = weights * (at::matmul(gs, vs.transpose(1, 2)) - mean) * scale;
    rows(d.q, queries, s).copy_(at::matmul(d_scores, ks).transpose(0, 1));
    rows(d.k, keys, s).copy_(shared_heads(at::matmul(d_scores.transpose(1, 2), qs), Hkv));
    rows(d.v, keys, s).copy_(shared_heads(at::matmul(weights.transpose(1, 2), gs), Hkv));
  }
  return d;
}

/// A row of single queries has a layout of its own there.
int64_t longest(const Sequences& sequences) { return std::max<int64_t>(2, sequences.longest); }

}  // namespace

Sequences::Sequences(std::span<const int64_t> lengths, at::Device device) {
  std::vector<int32_t> small{0};
  for (const int64_t length : lengths) {
    bounds.push_back(bounds.back() + length);
    small.push_back(static_cast<int32_t>(bounds.back()));
    longest = std::max(longest, length);
  }
  bounds_on_device = upload(small, device);
}

bool has_flash_attention(const at::Tensor& q) {
  return q.is_cuda() && q.scalar_type() == at::kBFloat16 && q.size(2) % 8 == 0 && q.size(2) <= 256;
}

Attended attend_sequences(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const Sequences& queries, const Sequences& keys, bool causal) {
  const at::NoGradGuard no_grad;
  if (!has_flash_attention(q)) return composed(q, k, v, queries, keys, causal);
  const auto result = at::_flash_attention_forward(
      q, k, v, queries.bounds_on_device, keys.bounds_on_device, longest(queries), longest(keys),
      /*dropout_p=*/0.0, causal, /*return_debug_mask=*/false);
  return {std::get<0>(result), std::get<1>(result)};
}

AttentionGradients attend_sequences_backward(const at::Tensor& g, const at::Tensor& q,
                                             const at::Tensor& k, const at::Tensor& v,
                                             const Attended& attended, const Sequences& queries,
                                             const Sequences& keys, bool causal) {
  const at::NoGradGuard no_grad;
  if (!has_flash_attention(q))
    return composed_backward(g, q, k, v, attended, queries, keys, causal);
  // Without dropout the random state is not read.
  const at::Tensor no_state = at::zeros({2}, q.options().dtype(at::kUInt64));
  const auto [d_q, d_k, d_v] = at::_flash_attention_backward(
      g, q, k, v, attended.out, attended.lse, queries.bounds_on_device, keys.bounds_on_device,
      longest(queries), longest(keys), /*dropout_p=*/0.0, causal, no_state,
      at::empty({0}, q.options()));
  return {d_q, d_k, d_v};
}

void join(Attended& a, const Attended& b) {
  const at::NoGradGuard no_grad;
  if (fused::runs_on(a.out) && fused::join(a, b)) return;
  const at::Tensor lse = at::logaddexp(a.lse, b.lse);
  const auto share = [&](const Attended& part) {  // [N, H, D], of a query's whole weight
    return part.out.to(lse.scalar_type()) * (part.lse - lse).exp().t().unsqueeze(2);
  };
  a.out.copy_(share(a) + share(b));
  a.lse.copy_(lse);
}

}  // namespace caprl::ops
