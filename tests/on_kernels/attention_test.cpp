// Attention over pages on kernels beside the composed one in fp64: prompts, single tokens of
// captions that share them, and both in one pass.
#include <gtest/gtest.h>

#include <numeric>

#include "caprl/ops/paged_attention.h"
#include "on_kernels/switch.h"

namespace caprl::ops {
namespace {

/// Pages of a prompt of 37 tokens and three captions, of which two are long; and of another prompt.
class AttentionOnKernels : public testing::Test {
 protected:
  static constexpr int64_t kHeads = 6, kKvHeads = 2;

  const std::vector<std::vector<int32_t>> pages_ = {
      {4, 2, 7}, {4, 2, 9, 1, 12}, {4, 2, 3}, {4, 2, 11, 10}, {8, 0, 5, 6}};

  static std::vector<int32_t> iota(int32_t first, int32_t count) {
    std::vector<int32_t> pages(static_cast<size_t>(count));
    std::iota(pages.begin(), pages.end(), first);
    return pages;
  }

  static at::Tensor values(int64_t count, int64_t heads, int64_t dim, at::ScalarType dtype,
                           uint64_t seed) {
    at::manual_seed(seed);
    return at::randn({count, heads, dim}).to(at::kBFloat16).to(dtype).to(current_device());
  }

  static RotaryTable table(int64_t count, int64_t dim, at::ScalarType dtype, uint64_t seed) {
    const at::Tensor angles = 9 * values(count, 1, dim / 2, at::kDouble, seed).squeeze(1);
    const auto rounded = [&](const at::Tensor& x) { return x.to(at::kBFloat16).to(dtype); };
    return {rounded(angles.cos()), rounded(angles.sin())};
  }

  /// One pass after another over the same pages; all results in a row.
  at::Tensor run(int64_t dim, at::ScalarType dtype) const {
    const auto options = at::TensorOptions(dtype).device(current_device());
    KvPages pages = make_kv_pages(13, kKvHeads, dim, options);
    std::vector<at::Tensor> out;
    const auto pass = [&](const std::vector<PagedChunk>& chunks) {
      const PagedBatch batch(chunks);
      const int64_t n = batch.num_tokens();
      const uint64_t seed = 10 * out.size();
      out.push_back(paged_attention(values(n, kHeads, dim, dtype, seed),
                                    values(n, kKvHeads, dim, dtype, seed + 1),
                                    values(n, kKvHeads, dim, dtype, seed + 2),
                                    table(n, dim, dtype, seed + 3), pages, batch)
                        .to(at::kCPU, at::kDouble));
    };
    pass({{pages_[0], 0, 32}, {pages_[4], 0, 20}});
    pass({{pages_[1], 32, 5}, {pages_[2], 32, 1}, {pages_[3], 32, 2}, {pages_[4], 20, 30}});
    pass({{pages_[1], 37, 1}, {pages_[2], 33, 1}, {pages_[3], 34, 1}, {pages_[4], 50, 1}});
    pass({{pages_[1], 38, 30}, {pages_[3], 35, 16}});
    pass({{pages_[1], 68, 1}, {pages_[2], 34, 1}, {pages_[3], 51, 1}});
    return at::cat(out);
  }
};

TEST_F(AttentionOnKernels, EqualsTheComposedOne) {
  // Two sizes with a kernel, one without.
  for (const int64_t dim : {64, 128, 32}) {
    const at::Tensor exact = run(dim, at::kDouble);
    const OnKernels on;
    const at::Tensor got = run(dim, at::kBFloat16);
    EXPECT_LE((got - exact).abs().max().item<double>(), 0x1p-6) << "heads of " << dim;
  }
}

/// Chunks too long for the kernel, at the beginning of a sequence and further on, alone and among
/// short ones.
TEST_F(AttentionOnKernels, LongChunksEqualTheComposedOnes) {
  const std::vector<int32_t> one = iota(0, 24), other = iota(24, 10);
  const auto run = [&](at::ScalarType dtype) {
    const auto options = at::TensorOptions(dtype).device(current_device());
    KvPages pages = make_kv_pages(34, kKvHeads, 64, options);
    std::vector<at::Tensor> out;
    for (const std::vector<PagedChunk>& chunks : {std::vector<PagedChunk>{{one, 0, 150}},
                                                  {{other, 0, 11}, {one, 150, 130}},
                                                  {{one, 280, 90}, {other, 11, 129}},
                                                  {{one, 370, 1}, {other, 140, 1}}}) {
      const PagedBatch batch(chunks);
      const int64_t n = batch.num_tokens();
      const uint64_t seed = 10 * out.size();
      out.push_back(paged_attention(values(n, kHeads, 64, dtype, seed),
                                    values(n, kKvHeads, 64, dtype, seed + 1),
                                    values(n, kKvHeads, 64, dtype, seed + 2),
                                    table(n, 64, dtype, seed + 3), pages, batch)
                        .to(at::kCPU, at::kDouble));
    }
    return at::cat(out);
  };
  const at::Tensor exact = run(at::kDouble);
  const OnKernels on;
  EXPECT_LE((run(at::kBFloat16) - exact).abs().max().item<double>(), 0x1p-6);
}

TEST_F(AttentionOnKernels, PlansTakeTheirPlace) {
  const OnKernels on;
  const auto options = at::TensorOptions(at::kBFloat16).device(current_device());
  KvPages pages = make_kv_pages(13, kKvHeads, 64, options),
          same = make_kv_pages(13, kKvHeads, 64, options);
  std::shared_ptr<const fused::AttentionPlan> plan;
  for (int64_t step = 0; step < 20; ++step) {
    const std::vector<PagedChunk> chunks{{pages_[1], step, 1}, {pages_[4], 40 + step, 1}};
    const auto input = [&](int64_t heads, uint64_t seed) {
      return values(4, heads, 64, at::kBFloat16, 10 * step + seed);
    };
    const at::Tensor q = input(kHeads, 1), k = input(kKvHeads, 2), v = input(kKvHeads, 3);
    const RotaryTable turned = table(4, 64, at::kBFloat16, 10 * step + 4);
    PagedBatch padded = PagedBatch::to_record(chunks, 2);
    if (plan) EXPECT_TRUE(padded.take(plan));
    const at::Tensor got = paged_attention(q, k, v, turned, pages, padded);
    plan = padded.plan;
    const PagedBatch alone(chunks);
    const at::Tensor expected =
        paged_attention(q.narrow(0, 0, 2), k.narrow(0, 0, 2), v.narrow(0, 0, 2),
                        {turned.cos.narrow(0, 0, 2), turned.sin.narrow(0, 0, 2)}, same, alone);
    EXPECT_TRUE(at::equal(got.narrow(0, 0, 2), expected)) << "step " << step;
    EXPECT_EQ(got.narrow(0, 2, 2).abs().max().item<double>(), 0);
    EXPECT_TRUE(at::equal(pages.k, same.k));
  }
  // No room: another number of tokens, or many more parts.
  PagedBatch one = PagedBatch::to_record(std::vector<PagedChunk>{{pages_[1], 3, 1}}, 0);
  EXPECT_FALSE(one.take(plan));
  std::vector<int32_t> many(1100, 3);
  PagedBatch large = PagedBatch::to_record(std::vector<PagedChunk>{{many, 17599, 1}}, 3);
  EXPECT_FALSE(large.take(plan));
}

}  // namespace
}  // namespace caprl::ops
