// The CPU's kernels for groups' attention beside every score under a mask, in double.
#include <gtest/gtest.h>

#include <cmath>

#include "all_kernels.h"
#include "ops/elements.h"
#include "support/group_problem.h"

namespace caprl::ops::cpu {
namespace {

struct Shape {
  int64_t heads, kv_heads, head_dim;
};

std::vector<GroupSequence> sequences_of(const std::vector<GroupLengths>& groups) {
  std::vector<GroupSequence> sequences;
  int64_t row = 0;
  for (const GroupLengths& group : groups) {
    const int64_t prefix = row;
    sequences.push_back({row, group.prefix, 0, 0});
    row += group.prefix;
    for (const int64_t length : group.branches) {
      sequences.push_back({row, length, prefix, group.prefix});
      row += length;
    }
  }
  return sequences;
}

/// Random rows, as T stores them.
struct Problem {
  Problem(const std::vector<GroupLengths>& groups, const Shape& shape, at::ScalarType dtype)
      : groups(groups), shape(shape) {
    at::manual_seed(3);
    const auto values = [&](int64_t heads) {
      return at::randn({num_tokens(groups), heads, shape.head_dim}).to(dtype);
    };
    q = values(shape.heads);
    g = values(shape.heads);
    kv = values(2 * shape.kv_heads);  // keys and values of a row side by side
  }
  at::Tensor k() const { return kv.narrow(1, 0, shape.kv_heads); }
  at::Tensor v() const { return kv.narrow(1, shape.kv_heads, shape.kv_heads); }

  AttentionRun expected() const {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
    const at::Tensor mask = dense_mask(groups);
    return run_attention(wide(q), wide(k()), wide(v()), wide(g),
                         [&](auto& q, auto& k, auto& v) { return dense_attention(q, k, v, mask); });
  }

  std::vector<GroupLengths> groups;
  Shape shape;
  at::Tensor q, kv, g;
};

/// Every sequence and head by itself, each in scratch that was never written.
template <class T>
AttentionRun run(const TypedKernels<T>& kernels, const Problem& problem) {
  const int64_t heads = problem.shape.heads, kv_heads = problem.shape.kv_heads,
                D = problem.shape.head_dim;
  const at::Tensor k = problem.k(), v = problem.v();
  AttentionRun made{at::empty_like(problem.q), at::empty_like(problem.q),
                    at::zeros({k.size(0), kv_heads, D}, at::kDouble),
                    at::zeros({k.size(0), kv_heads, D}, at::kDouble)};
  const at::Tensor lse = at::empty({heads, problem.q.size(0)});
  GroupRows<T> rows;
  rows.num_rows = problem.q.size(0);
  rows.heads = heads;
  rows.kv_heads = kv_heads;
  rows.head_dim = D;
  rows.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(D)));
  rows.q = data<T>(problem.q);
  rows.k = data<T>(k);
  rows.v = data<T>(v);
  rows.q_stride = heads * D;
  rows.k_stride = rows.v_stride = 2 * kv_heads * D;
  rows.out = data<T>(made.out);
  rows.lse = data<float>(lse);
  const int64_t block = queries_of_block(heads / kv_heads);
  const auto scratch = [&] { return at::full({group_scratch_floats(heads / kv_heads, D)}, NAN); };
  const auto sequences = sequences_of(problem.groups);
  for (const GroupSequence& sequence : sequences)
    for (int64_t head = 0; head < kv_heads; ++head)
      for (int64_t first = 0; first < sequence.count; first += block)
        kernels.attend_group(rows, sequence, first, std::min(block, sequence.count - first), head,
                             data<float>(scratch()));
  GroupGradients<T> to;
  to.g = data<T>(problem.g);
  to.d_q = data<T>(made.d_q);
  for (const GroupSequence& sequence : sequences)
    for (int64_t head = 0; head < kv_heads; ++head) {
      const int64_t keys = sequence.prefix_count + sequence.count;
      const at::Tensor d = at::full({2, keys, padded_head(D)}, NAN);
      to.d_k = data<float>(d);
      to.d_v = to.d_k + keys * padded_head(D);
      kernels.attend_group_backward(rows, to, sequence, head, data<float>(scratch()));
      for (const int64_t which : {0, 1}) {
        const at::Tensor all = (which == 0 ? made.d_k : made.d_v).select(1, head);
        const at::Tensor part = d.select(0, which).narrow(1, 0, D).to(at::kDouble);
        all.narrow(0, sequence.prefix_first, sequence.prefix_count)
            .add_(part.narrow(0, 0, sequence.prefix_count));
        all.narrow(0, sequence.first, sequence.count)
            .add_(part.narrow(0, sequence.prefix_count, sequence.count));
      }
    }
  return made;
}

template <class T>
void check(const TypedKernels<T>& kernels, const std::vector<GroupLengths>& groups,
           const Shape& shape, double tolerance) {
  const Problem problem(groups, shape, sizeof(T) == 2 ? at::kBFloat16 : at::kFloat);
  const AttentionRun expected = problem.expected(), made = run(kernels, problem);
  for (const auto part :
       {&AttentionRun::out, &AttentionRun::d_q, &AttentionRun::d_k, &AttentionRun::d_v}) {
    const at::Tensor& wanted = expected.*part;
    const double distance = ((made.*part).to(at::kDouble) - wanted).norm().item<double>();
    EXPECT_LT(distance, tolerance * wanted.norm().item<double>())
        << shape.heads << " heads, " << shape.kv_heads << " of keys, " << shape.head_dim;
  }
}

TEST(CpuGroupAttention, EqualsEveryScoreUnderAMask) {
  // Longer and shorter than the blocks of keys and of queries; empty branches; none.
  const std::vector<GroupLengths> groups{{70, {1, 130, 0, 33}}, {1, {97}}, {64, {}}, {5, {3, 2}}};
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const Shape& shape : std::vector<Shape>{
             {1, 1, 4}, {6, 2, 24}, {9, 3, 64}, {4, 4, 80}, {14, 2, 64}, {100, 1, 8}}) {
      check(k->f32, groups, shape, 2e-6);
      check(k->bf16, groups, shape, 1e-2);
    }
  }
}

TEST(CpuGroupAttention, SurvivesScoresThatOverflowAnExponential) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    Problem problem({{40, {80, 7}}}, {2, 1, 16}, at::kFloat);
    problem.q.mul_(400);
    const AttentionRun expected = problem.expected(), made = run(k->f32, problem);
    // Queries see one key each, or nearly so.
    EXPECT_LT((made.out - expected.out).abs().max().item<double>(), 1e-2);
    for (const at::Tensor& d : {made.d_q, made.d_k, made.d_v})
      EXPECT_TRUE(d.isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace caprl::ops::cpu
