// Operations in inference mode on the CPU's own kernels, beside their compositions.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caprl/core/error.h"
#include "caprl/ops/linear.h"
#include "caprl/ops/paged_attention.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/swiglu.h"

namespace caprl::ops {
namespace {

double worst(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).abs() / (wide.abs() + 1)).max().item<double>();
}

at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble).to(dtype);
}

double tolerance(at::ScalarType dtype) { return dtype == at::kFloat ? 3e-6 : 2e-2; }

/// Runs the same thing composed and in inference mode.
template <class Run>
void compare(at::ScalarType dtype, Run run) {
  std::vector<at::Tensor> composed, own;
  {
    const at::NoGradGuard no_grad;
    composed = run();
  }
  const c10::InferenceMode guard;
  own = run();
  ASSERT_EQ(composed.size(), own.size());
  for (size_t i = 0; i < own.size(); ++i) {
    EXPECT_EQ(own[i].sizes(), composed[i].sizes());
    EXPECT_EQ(own[i].scalar_type(), composed[i].scalar_type());
    EXPECT_LT(worst(own[i], composed[i]), tolerance(dtype)) << i;
  }
}

class InferenceOps : public testing::TestWithParam<at::ScalarType> {};

TEST_P(InferenceOps, AreTheCompositionsButForRounding) {
  const at::ScalarType dtype = GetParam();
  for (const int64_t rows : {1, 3, 40}) {
    const at::Tensor x = normal({rows, 37}, dtype, 1), delta = normal({rows, 37}, dtype, 2);
    const at::Tensor weight = normal({53, 37}, dtype, 3), bias = normal({53}, dtype, 4),
                     scale = normal({37}, dtype, 5);
    compare(dtype, [&]() -> std::vector<at::Tensor> {
      const auto [sum, normed] = add_rms_norm(x, delta, scale, 1e-6);
      return {ops::linear(x, {weight, bias}),
              ops::linear(x, {weight, {}}),
              linear_in_float(x, weight),
              ops::linear(x.view({rows, 1, 37}), {weight, {}}),
              rms_norm(x, scale, 1e-6),
              sum,
              normed,
              swiglu(30 * x, delta)};
    });
    // Heads out of a packed product, and one token's tables.
    const at::Tensor packed = normal({rows, 5, 3, 12}, dtype, 6);
    const at::Tensor positions = at::arange(2 * rows).view({2, rows}) * 37 % 101;
    const at::Tensor frequencies = normal({6}, at::kFloat, 7).abs();
    const at::Tensor axis = at::tensor({0, 1, 1, 0, 1, 0}, at::kLong);
    compare(dtype, [&]() -> std::vector<at::Tensor> {
      const RotaryTable table = rotary_table(positions, frequencies, axis, dtype);
      const auto [q, k] = rotate(packed.select(2, 1), packed.select(1, 2), table);
      return {q, k, table.cos, table.sin};
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Types, InferenceOps, testing::Values(at::kFloat, at::kBFloat16));

TEST(InferenceOps, AnglesOfATokenDoNotDependOnItsBatch) {
  const c10::InferenceMode guard;
  const at::Tensor frequencies = inverse_frequencies(12, 1e4, at::kFloat);
  const at::Tensor axis = at::tensor({0, 1, 1, 0, 1, 0}, at::kLong);
  // Places that most tokens share, and places far apart.
  for (const int64_t places : {50, 100'000}) {
    at::manual_seed(1);
    const at::Tensor positions = at::randint(30'000, 30'000 + places, {2, 70}, at::kLong);
    const RotaryTable all = rotary_table(positions, frequencies, axis, at::kFloat);
    const at::Tensor angles =
        positions.index_select(0, axis).t().to(at::kFloat) * frequencies;  // [70, 6]
    EXPECT_LT(worst(all.cos, angles.to(at::kDouble).cos()), 1e-7);
    EXPECT_LT(worst(all.sin, angles.to(at::kDouble).sin()), 1e-7);
    for (int64_t token = 0; token < 70; ++token) {
      const RotaryTable one =
          rotary_table(positions.narrow(1, token, 1), frequencies, axis, at::kFloat);
      EXPECT_TRUE(one.cos[0].equal(all.cos[token]));
      EXPECT_TRUE(one.sin[0].equal(all.sin[token]));
    }
  }
}

TEST(InferenceOps, DoubleModelsAreComposed) {
  const at::Tensor x = normal({3, 8}, at::kDouble, 1), weight = normal({5, 8}, at::kDouble, 2);
  const c10::InferenceMode guard;
  EXPECT_TRUE(ops::linear(x, {weight, {}}).equal(at::linear(x, weight)));
  EXPECT_EQ(linear_in_float(x, weight).scalar_type(), at::kDouble);
}

TEST(InferenceOps, ContractsAreChecked) {
  const at::Tensor x = at::zeros({3, 8});
  EXPECT_ANY_THROW(ops::linear(x, {at::zeros({5, 7}), {}}));
  EXPECT_ANY_THROW(ops::linear(x, {at::zeros({5, 8}, at::kDouble), {}}));
  EXPECT_ANY_THROW(ops::linear(x, {at::zeros({5, 8}), at::zeros({4})}));
  const c10::InferenceMode guard;
  EXPECT_ANY_THROW(ops::linear(x, {at::zeros({8, 5}).t(), {}}));
}

/// Two sequences that share their first page, in chunks, and a third one: of one pass or of
/// several.
struct Sequences {
  std::vector<std::vector<int32_t>> pages = {{2, 0, 4}, {2, 5}, {1, 3}};
  std::vector<int64_t> lengths = {40, 20, 17};
  int64_t heads = 6, kv_heads = 2, head_dim = 12;

  /// [Σ count, heads, D] of places [first, end) of each sequence.
  at::Tensor attend(KvPages& cache, at::ScalarType dtype,
                    const std::vector<std::pair<int64_t, int64_t>>& parts) const {
    std::vector<PagedChunk> chunks;
    std::vector<at::Tensor> q, k, v;
    for (size_t s = 0; s < pages.size(); ++s) {
      const int64_t first = parts[s].first, end = parts[s].second;
      if (first == end) continue;
      chunks.push_back({pages[s], first, end - first});
      // The shared page has one content.
      const auto values = [&](int64_t count, uint64_t seed) {
        const at::Tensor own = normal({lengths[s], count, head_dim}, dtype, seed + s).clone();
        own.narrow(0, 0, 16).copy_(normal({16, count, head_dim}, dtype, s == 2 ? seed + 7 : seed));
        return own.narrow(0, first, end - first);
      };
      q.push_back(values(heads, 10));
      k.push_back(values(kv_heads, 20));
      v.push_back(values(kv_heads, 30));
    }
    return paged_attention(at::cat(q), at::cat(k), at::cat(v), {}, cache, PagedBatch(chunks));
  }
};

TEST(PagedAttention, MatchesDoublePrecisionInChunksAndAtOnce) {
  const Sequences sequences;
  const c10::InferenceMode guard;
  const auto options = [](at::ScalarType dtype) { return at::TensorOptions(dtype); };
  KvPages exact_pages = make_kv_pages(6, 2, 12, options(at::kDouble));
  const at::Tensor exact = sequences.attend(exact_pages, at::kDouble, {{0, 40}, {0, 20}, {0, 17}});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    KvPages pages = make_kv_pages(6, 2, 12, options(dtype));
    const at::Tensor whole = sequences.attend(pages, dtype, {{0, 40}, {0, 20}, {0, 17}});
    EXPECT_LT(worst(whole, exact), tolerance(dtype));
    KvPages other = make_kv_pages(6, 2, 12, options(dtype));
    const at::Tensor first = sequences.attend(other, dtype, {{0, 17}, {0, 0}, {0, 16}});
    const at::Tensor second = sequences.attend(other, dtype, {{17, 39}, {16, 20}, {16, 17}});
    const at::Tensor third = sequences.attend(other, dtype, {{39, 40}, {0, 0}, {0, 0}});
    EXPECT_TRUE(at::cat({first.narrow(0, 0, 17), second.narrow(0, 0, 22), third})
                    .equal(whole.narrow(0, 0, 40)));
    EXPECT_TRUE(second.narrow(0, 22, 4).equal(whole.narrow(0, 56, 4)));
    EXPECT_TRUE(
        at::cat({first.narrow(0, 17, 16), second.narrow(0, 26, 1)}).equal(whole.narrow(0, 60, 17)));
    const KvPages before{other.k.clone(), other.v.clone()};
    copy_kv_pages(other, at::tensor({2, 2, 4}, at::kLong), at::tensor({0, 1, 5}, at::kLong));
    // Of what nobody has written, too, which may be no number.
    const auto bits = [](const at::Tensor& pages, int64_t page) {
      return pages.select(0, page).view(at::kByte);
    };
    EXPECT_TRUE(bits(other.k, 0).equal(bits(before.k, 2)));
    EXPECT_TRUE(bits(other.k, 1).equal(bits(before.k, 2)));
    EXPECT_TRUE(bits(other.v, 1).equal(bits(before.v, 2)));
    EXPECT_TRUE(bits(other.v, 5).equal(bits(before.v, 4)));
    EXPECT_TRUE(bits(other.v, 3).equal(bits(before.v, 3)));
  }
}

/// A prompt may begin with a page that another one completes in the same pass.
TEST(PagedAttention, APassSeesWhatItWritesOnSharedPages) {
  const Sequences sequences;
  const c10::InferenceMode guard;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    KvPages pages = make_kv_pages(6, 2, 12, at::TensorOptions(dtype));
    const at::Tensor whole = sequences.attend(pages, dtype, {{0, 40}, {0, 20}, {0, 17}});
    for (int i = 0; i < 50; ++i) {
      KvPages other = make_kv_pages(6, 2, 12, at::TensorOptions(dtype));
      sequences.attend(other, dtype, {{0, 15}, {0, 0}, {0, 0}});
      const at::Tensor last = sequences.attend(other, dtype, {{15, 16}, {16, 17}, {0, 0}});
      ASSERT_TRUE(last[0].equal(whole[15]));
      ASSERT_TRUE(last[1].equal(whole[40 + 16]));
    }
  }
}

TEST(PagedAttention, TurnsQueriesAndKeysByTheTable) {
  constexpr int64_t kTokens = 37, kHeads = 6, kKvHeads = 2, kDim = 24;
  const std::vector<int32_t> ids = {1, 2, 0};
  const PagedChunk chunk{ids, 0, kTokens};
  const c10::InferenceMode guard;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const at::ScalarType of_table : {at::kFloat, at::kBFloat16}) {
      const at::Tensor q = normal({kTokens, kHeads, kDim}, dtype, 1);
      const at::Tensor k = normal({kTokens, kKvHeads, kDim}, dtype, 2);
      const at::Tensor v = normal({kTokens, kKvHeads, kDim}, dtype, 3);
      const RotaryTable table =
          rotary_table(normal({kTokens, kDim / 2}, at::kFloat, 4) * 3, of_table);
      KvPages here = make_kv_pages(3, kKvHeads, kDim, at::TensorOptions(dtype));
      KvPages there = make_kv_pages(3, kKvHeads, kDim, at::TensorOptions(dtype));
      const auto [turned_q, turned_k] = rotate(q, k, table);
      const at::Tensor got = paged_attention(q, k, v, table, here, PagedBatch({&chunk, 1}));
      const at::Tensor expected =
          paged_attention(turned_q, turned_k, v, {}, there, PagedBatch({&chunk, 1}));
      EXPECT_TRUE(got.equal(expected)) << dtype << " by " << of_table;
      EXPECT_FALSE(got.equal(paged_attention(q, k, v, {}, there, PagedBatch({&chunk, 1}))));
    }
}

TEST(PagedAttention, BlocksAreNeighboursThatShareTheirFirstPages) {
  const std::vector<int32_t> a{1, 2, 3}, b{1, 2, 4}, c{1, 5, 6, 7}, d{8};
  const PagedBatch batch(std::vector<PagedChunk>{
      {a, 40, 1}, {b, 33, 1}, {b, 34, 2}, {c, 50, 1}, {d, 0, 16}, {d, 15, 1}});
  std::vector<std::array<int64_t, 3>> blocks;
  for (const auto& block : batch.blocks())
    blocks.push_back({block.first, block.count, block.shared});
  // c shares one page of two: still worth a block.
  EXPECT_THAT(blocks, testing::ElementsAre(std::array<int64_t, 3>{0, 5, 1},
                                           std::array<int64_t, 3>{5, 16, 1},
                                           std::array<int64_t, 3>{21, 1, 1}));
  EXPECT_EQ(batch.lengths()[1], 34);
  EXPECT_EQ(batch.slots()[1], 4 * 16 + 1);
  EXPECT_THROW(PagedBatch(std::vector<PagedChunk>{{d, 10, 7}}), Error);
}

}  // namespace
}  // namespace caprl::ops
