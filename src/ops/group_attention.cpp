#include "caprl/ops/group_attention.h"

#include <ATen/ATen.h>

#include "caprl/ops/sequence_attention.h"
#include "caprl/ops/upload.h"
#include "ops/cpu/operations.h"
#include "ops/keep.h"

namespace caprl::ops {
namespace {

/// Some of all tokens: a run of them, which needs no copy, or any.
class Rows {
 public:
  Rows() = default;
  Rows(const std::vector<int64_t>& rows, at::Device device)
      : begin_(rows.front()), count_(std::ssize(rows)) {
    if (rows.back() - begin_ + 1 != count_) index_ = upload(rows, device);
  }

  bool empty() const { return count_ == 0; }
  /// Of a run a view, otherwise a copy.
  at::Tensor of(const at::Tensor& x, int64_t dim = 0) const {
    return index_.defined() ? x.index_select(dim, index_) : x.narrow(dim, begin_, count_);
  }
  /// What of() gave, changed in place.
  void put_back(at::Tensor& x, const at::Tensor& values, int64_t dim = 0) const {
    if (index_.defined()) x.index_copy_(dim, index_, values);
  }
  void add(at::Tensor& x, const at::Tensor& values) const {
    at::Tensor sum = of(x);
    put_back(x, sum.add_(values));
  }

 private:
  int64_t begin_ = 0, count_ = 0;
  at::Tensor index_;  // int64; undefined: a run
};

}  // namespace

struct GroupPlan::Parts {
  Sequences own;  // prefixes and branches, each by itself: all tokens
  // Branches over prefixes: a sequence for a group with both.
  Sequences branches, prefixes;
  Rows branch_rows, prefix_rows;  // of these among all tokens
  std::vector<cpu::GroupSequence> sequences;
};

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void append_rows(int64_t begin, int64_t count, std::vector<int64_t>& rows) {
  for (int64_t i = 0; i < count; ++i) rows.push_back(begin + i);
}

/// Branches' queries, prefixes' keys and values.
struct OverPrefixes {
  OverPrefixes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
               const GroupPlan::Parts& parts)
      : q(parts.branch_rows.of(q)), k(parts.prefix_rows.of(k)), v(parts.prefix_rows.of(v)) {}
  at::Tensor q, k, v;
};

Attended forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                 const GroupPlan::Parts& parts) {
  if (cpu::has_kernels(q)) return cpu::group_attention(q, k, v, parts.sequences);
  Attended all = attend_sequences(q, k, v, parts.own, parts.own, /*causal=*/true);
  if (parts.branch_rows.empty()) return all;
  const OverPrefixes part(q, k, v, parts);
  Attended both{parts.branch_rows.of(all.out), parts.branch_rows.of(all.lse, 1)};
  join(both, attend_sequences(part.q, part.k, part.v, parts.branches, parts.prefixes,
                              /*causal=*/false));
  parts.branch_rows.put_back(all.out, both.out);
  parts.branch_rows.put_back(all.lse, both.lse, 1);
  return all;
}

AttentionGradients backward(const at::Tensor& g, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const Attended& all,
                            const GroupPlan::Parts& parts) {
  if (cpu::has_kernels(q)) return cpu::group_attention_backward(g, q, k, v, all, parts.sequences);
  AttentionGradients d =
      attend_sequences_backward(g, q, k, v, all, parts.own, parts.own, /*causal=*/true);
  if (parts.branch_rows.empty()) return d;
  const OverPrefixes part(q, k, v, parts);
  const Attended of_branches{parts.branch_rows.of(all.out),
                             parts.branch_rows.of(all.lse, 1).contiguous()};
  const AttentionGradients more =
      attend_sequences_backward(parts.branch_rows.of(g), part.q, part.k, part.v, of_branches,
                                parts.branches, parts.prefixes, /*causal=*/false);
  parts.branch_rows.add(d.q, more.q);
  parts.prefix_rows.add(d.k, more.k);
  parts.prefix_rows.add(d.v, more.v);
  return d;
}

struct AttendGroups : torch::autograd::Function<AttendGroups> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const std::shared_ptr<const GroupPlan>& plan) {
    const Attended all = ops::forward(q, k, v, plan->parts());
    context->save_for_backward({q, k, v, all.out, all.lse});
    keep(*context, plan);
    return all.out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto& plan = kept<std::shared_ptr<const GroupPlan>>(*context);
    const AttentionGradients d = ops::backward(gradients[0].contiguous(), saved[0], saved[1],
                                               saved[2], {saved[3], saved[4]}, plan->parts());
    return {d.q, d.k, d.v, at::Tensor()};
  }
};

}  // namespace

GroupPlan::GroupPlan(std::span<const GroupLengths> groups, at::Device device) {
  auto parts = std::make_unique<Parts>();
  std::vector<int64_t> own, branches, prefixes, branch_rows, prefix_rows;
  int64_t begin = 0;
  for (const GroupLengths& group : groups) {
    own.push_back(group.prefix);
    parts->sequences.push_back({begin, group.prefix, 0, 0});
    int64_t count = 0;
    for (const int64_t length : group.branches) {
      if (length == 0) continue;
      own.push_back(length);
      parts->sequences.push_back({begin + group.prefix + count, length, begin, group.prefix});
      count += length;
    }
    if (count > 0) {
      branches.push_back(count);
      prefixes.push_back(group.prefix);
      append_rows(begin, group.prefix, prefix_rows);
      append_rows(begin + group.prefix, count, branch_rows);
    }
    begin += group.prefix + count;
  }
  parts->own = Sequences(own, device);
  if (!branches.empty()) {
    parts->branches = Sequences(branches, device);
    parts->prefixes = Sequences(prefixes, device);
    parts->branch_rows = Rows(branch_rows, device);
    parts->prefix_rows = Rows(prefix_rows, device);
  }
  parts_ = std::move(parts);
}
GroupPlan::~GroupPlan() = default;

at::Tensor group_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::shared_ptr<const GroupPlan>& plan) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                  q.size(0) == plan->parts().own.bounds.back() && q.size(1) % k.size(1) == 0,
              "[group_attention] expected q [", plan->parts().own.bounds.back(),
              ", H, D] and as many k and v [.., Hkv, D], got ", q.sizes(), ", ", k.sizes(), " and ",
              v.sizes());
  if (!at::GradMode::is_enabled()) return forward(q, k, v, plan->parts()).out;
  return AttendGroups::apply(q, k, v, plan);
}

}  // namespace caprl::ops
