// Attention of groups in parts beside every score under a mask, in double.
#include "caprl/ops/group_attention.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "caprl/ops/sequence_attention.h"
#include "support/group_problem.h"

namespace caprl::ops {
namespace {

at::Tensor values(int64_t count, int64_t heads, int64_t dim) {
  return at::randn({count, heads, dim}, at::kDouble);
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
}

void expect_like_the_definition(const std::vector<GroupLengths>& groups) {
  const int64_t N = num_tokens(groups), H = 6, Hkv = 2, D = 8;
  const at::Tensor q = values(N, H, D), k = values(N, Hkv, D), v = values(N, Hkv, D),
                   g = values(N, H, D);
  const auto plan = std::make_shared<GroupPlan>(groups, at::kCPU);
  const AttentionRun parts = run_attention(
      q, k, v, g, [&](auto& q, auto& k, auto& v) { return group_attention(q, k, v, plan); });
  const AttentionRun dense = run_attention(q, k, v, g, [&](auto& q, auto& k, auto& v) {
    return dense_attention(q, k, v, dense_mask(groups));
  });
  EXPECT_LE(difference(parts.out, dense.out), 1e-12);
  EXPECT_LE(difference(parts.d_q, dense.d_q), 1e-11);
  EXPECT_LE(difference(parts.d_k, dense.d_k), 1e-11);
  EXPECT_LE(difference(parts.d_v, dense.d_v), 1e-11);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(group_attention(q, k, v, plan), parts.out));
}

TEST(GroupAttention, EqualsEveryScoreUnderAMask) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    at::manual_seed(seed);
    expect_like_the_definition(random_groups(seed, 12));
  }
}

TEST(GroupAttention, GroupsOfOneAndWithoutBranches) {
  for (const std::vector<GroupLengths>& groups :
       {std::vector<GroupLengths>{{5, {}}}, {{5, {3}}}, {{1, {1}}}, {{4, {0, 0}}, {2, {0, 3}}}}) {
    SCOPED_TRACE(groups[0].prefix);
    expect_like_the_definition(groups);
  }
}

/// What a thread count, and what else lies beside a group, change: nothing.
TEST(GroupAttention, HasTheSameBitsAloneAndWithOtherThreads) {
  const std::vector<GroupLengths> groups{{70, {40, 0, 90}}, {3, {}}, {130, {5, 7}}};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const int64_t N = num_tokens(groups);
    const auto some = [&](int64_t heads) { return values(N, heads, 24).to(dtype); };
    const at::Tensor q = some(6), k = some(2), v = some(2), g = some(6);
    const auto run = [&](const std::vector<GroupLengths>& part, int64_t first) {
      const int64_t count = num_tokens(part);
      const auto plan = std::make_shared<GroupPlan>(part, at::kCPU);
      const auto rows = [&](const at::Tensor& x) { return x.narrow(0, first, count); };
      const AttentionRun made =
          run_attention(rows(q), rows(k), rows(v), rows(g),
                        [&](auto& q, auto& k, auto& v) { return group_attention(q, k, v, plan); });
      return std::vector{made.out, made.d_q, made.d_k, made.d_v};
    };
    const auto all = run(groups, 0);
    int64_t first = 0;
    for (const GroupLengths& group : groups) {
      const auto alone = run({group}, first);
      const int64_t count = alone[0].size(0);
      for (size_t i = 0; i < all.size(); ++i)
        EXPECT_TRUE(alone[i].equal(all[i].narrow(0, first, count))) << i;
      first += count;
    }
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 3 : 1);
    const auto otherwise = run(groups, 0);
    at::set_num_threads(threads);
    for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(otherwise[i].equal(all[i])) << i;
  }
}

TEST(GroupAttention, RefusesOtherSizes) {
  const auto plan = std::make_shared<GroupPlan>(std::vector<GroupLengths>{{2, {1}}}, at::kCPU);
  const at::Tensor three = values(3, 4, 8), four = values(4, 4, 8);
  EXPECT_NO_THROW(group_attention(three, three, three, plan));
  EXPECT_THROW(group_attention(four, four, four, plan), c10::Error);
  EXPECT_THROW(group_attention(three, values(3, 3, 8), values(3, 3, 8), plan), c10::Error);
}

TEST(SequenceAttention, KeysInPartsJoin) {
  // Keys of one sequence cut in two anywhere.
  const at::Tensor q = values(5, 4, 8), k = values(9, 2, 8), v = values(9, 2, 8);
  const auto attend = [&](int64_t first, int64_t count) {
    const std::vector<int64_t> queries{5}, keys{count};
    return attend_sequences(q, k.narrow(0, first, count), v.narrow(0, first, count),
                            Sequences(queries, at::kCPU), Sequences(keys, at::kCPU), false);
  };
  const Attended whole = attend(0, 9);
  for (int64_t cut = 0; cut <= 9; ++cut) {
    Attended joined = attend(0, cut);
    join(joined, attend(cut, 9 - cut));
    EXPECT_LE(difference(joined.out, whole.out), 1e-14) << cut;
    EXPECT_LE(difference(joined.lse, whole.lse), 1e-14) << cut;
  }
}

}  // namespace
}  // namespace caprl::ops
