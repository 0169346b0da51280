// Many rows of a small model on a CPU in inference mode: divided among the threads by rows, with
// the bits that a row has alone.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "caprl/ops/embedding.h"
#include "caprl/ops/gated_half.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/swiglu.h"

namespace caprl::ops {
namespace {

at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape).to(dtype);
}

/// Enough for every thread to have rows of its own, and some that fill no block.
int64_t many_rows() { return 64 * at::get_num_threads() + 37; }

class ManyRows : public testing::TestWithParam<at::ScalarType> {};

TEST_P(ManyRows, ProductsHaveTheBitsOfARowAlone) {
  const int64_t rows = many_rows();
  const at::Tensor x = normal({rows, 40}, GetParam(), 1);
  const std::array<LinearWeights, 2> weights{
      LinearWeights{{normal({50, 40}, GetParam(), 2)}, {normal({50}, GetParam(), 3)}},
      LinearWeights{{normal({7, 40}, GetParam(), 4)}, {}}};
  const c10::InferenceMode guard;
  const auto all = linear_each(x, weights);
  for (const int64_t row : {int64_t{0}, int64_t{63}, rows / 2, rows - 1}) {
    const auto alone = linear_each(x.narrow(0, row, 1), weights);
    for (size_t i = 0; i < weights.size(); ++i)
      EXPECT_TRUE(alone[i].equal(all[i].narrow(0, row, 1))) << row << " of product " << i;
  }
}

TEST_P(ManyRows, ALayersSecondHalfIsThatOfItsOperations) {
  constexpr int64_t kHidden = 40, kAttended = 88, kInner = 72;
  const int64_t rows = many_rows();
  const at::Tensor hidden = normal({rows, kHidden}, GetParam(), 1),
                   attended = normal({rows, kAttended}, GetParam(), 2),
                   norm = normal({kHidden}, GetParam(), 3),
                   next_norm = normal({kHidden}, GetParam(), 4);
  for (const bool biased : {false, true}) {
    const auto linear_of = [&](int64_t out, int64_t in, uint64_t seed) {
      return LinearWeights{{normal({out, in}, GetParam(), seed) * 0.1},
                           {biased ? normal({out}, GetParam(), seed + 1) : at::Tensor()}};
    };
    const FeedForwardWeights weights{linear_of(kInner, kHidden, 5), linear_of(kInner, kHidden, 7),
                                     linear_of(kHidden, kInner, 9)};
    const LinearWeights output = linear_of(kHidden, kAttended, 11);
    const GatedHalf half{output, norm, weights, next_norm, 1e-6};
    const c10::InferenceMode guard;
    const LayerStates got = gated_half(hidden, attended, half, Recompute::kNone);
    const auto [sum, normed] = add_rms_norm(hidden, linear(attended, output), norm, 1e-6);
    const at::Tensor gated = swiglu(linear(normed, weights.gate), linear(normed, weights.up));
    const auto [next, next_normed] =
        add_rms_norm(sum, linear(gated, weights.down), next_norm, 1e-6);
    EXPECT_TRUE(got.hidden.equal(next));
    EXPECT_TRUE(got.normed.equal(next_normed));
    const LayerStates alone =
        gated_half(hidden.narrow(0, 70, 1), attended.narrow(0, 70, 1), half, Recompute::kNone);
    EXPECT_TRUE(alone.normed.equal(next_normed.narrow(0, 70, 1)));
  }
}

TEST_P(ManyRows, LookedUpRowsAreTheWeights) {
  const at::Tensor weight = normal({19, 24}, GetParam(), 1);
  const at::Tensor ids = at::arange(many_rows()).remainder(19);
  const c10::InferenceMode guard;
  EXPECT_TRUE(look_up(weight, ids).equal(weight.index_select(0, ids)));
  EXPECT_TRUE(look_up(weight.t(), ids).equal(weight.t().index_select(0, ids)));
  EXPECT_EQ(look_up(weight, ids.narrow(0, 0, 0)).sizes(), at::IntArrayRef({0, 24}));
  for (const int64_t wrong : {-1, 19})
    EXPECT_THROW(look_up(weight, at::full({3}, wrong, at::kLong)), c10::IndexError);
}

INSTANTIATE_TEST_SUITE_P(Types, ManyRows, testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace caprl::ops
