// Attention of groups in bfloat16 (on a GPU: flash attention) beside every score in double.
#include "caprl/ops/group_attention.h"

#include <gtest/gtest.h>

#include "on_kernels/switch.h"
#include "support/group_problem.h"

namespace caprl::ops {
namespace {

double relative(const at::Tensor& got, const at::Tensor& expected) {
  const at::Tensor wide = got.to(at::kCPU, at::kDouble);
  return ((wide - expected).norm() / expected.norm()).item<double>();
}

TEST(GroupAttentionOnKernels, IsNearTheDefinition) {
  for (const int64_t D : {64, 80, 128})
    for (uint64_t seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE(testing::Message() << "heads of " << D << ", seed " << seed);
      const auto groups = random_groups(seed, 150);
      const int64_t N = num_tokens(groups), H = 8, Hkv = 2;
      at::manual_seed(seed);
      const auto values = [&](int64_t heads) {
        return at::randn({N, heads, D}).to(at::kBFloat16).to(at::kDouble);
      };
      const at::Tensor q = values(H), k = values(Hkv), v = values(Hkv), g = values(H);
      const AttentionRun exact = run_attention(q, k, v, g, [&](auto& q, auto& k, auto& v) {
        return dense_attention(q, k, v, dense_mask(groups));
      });
      const OnKernels on;
      const auto move = [](const at::Tensor& x) { return x.to(current_device(), at::kBFloat16); };
      const auto plan = std::make_shared<GroupPlan>(groups, current_device());
      const AttentionRun got =
          run_attention(move(q), move(k), move(v), move(g),
                        [&](auto& q, auto& k, auto& v) { return group_attention(q, k, v, plan); });
      EXPECT_LE(relative(got.out, exact.out), 0.01);
      EXPECT_LE(relative(got.d_q, exact.d_q), 0.02);
      EXPECT_LE(relative(got.d_k, exact.d_k), 0.02);
      EXPECT_LE(relative(got.d_v, exact.d_v), 0.02);
    }
}

}  // namespace
}  // namespace caprl::ops
