// The embedding's two ways to give its gradient.
#include "caprl/ops/embedding.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace caprl::ops {
namespace {

struct Case {
  at::Tensor weight, ids, upstream;
};

Case make_case(at::ScalarType dtype) {
  at::manual_seed(3);
  Case made;
  made.weight = at::randn({7, 4}).to(dtype).requires_grad_();
  made.ids = at::tensor({2, 0, 2, 5, 6, 2}, at::kLong);
  made.upstream = at::randn({6, 4}).to(dtype);
  return made;
}

at::Tensor by_autograd(const Case& c) {
  const at::Tensor rows = look_up(c.weight, c.ids);
  EXPECT_TRUE(at::equal(rows, c.weight.index_select(0, c.ids)));
  return torch::autograd::grad({rows}, {c.weight}, {c.upstream})[0];
}

TEST(Embedding, AddsToAGivenGradient) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const Case c = make_case(dtype);
    const at::Tensor before =
        at::full({7, 4}, 0.5, dtype == at::kDouble ? at::kDouble : at::kFloat);
    const at::Tensor sum = before.clone();
    const at::Tensor rows = look_up(c.weight, c.ids, sum);
    EXPECT_TRUE(at::equal(rows, c.weight.index_select(0, c.ids)));
    torch::autograd::backward({rows}, {c.upstream});
    EXPECT_FALSE(c.weight.grad().defined());
    const double rounding = dtype == at::kBFloat16 ? 0x1p-7 : 1e-6;
    EXPECT_TRUE(at::allclose(sum - before, by_autograd(c).to(sum.scalar_type()), rounding, 1e-6));
  }
}

TEST(Embedding, PlaceholdersWhoseRowsAreReplaced) {
  const Case c = make_case(at::kDouble);
  const at::Tensor places = (c.ids == 2).nonzero().squeeze(1);
  const auto replaced = [&](const at::Tensor& sum, int64_t placeholder) {
    const at::Tensor rows = look_up(c.weight, c.ids, sum, placeholder);
    const at::Tensor out = rows.index_copy(0, places, at::ones({3, 4}, at::kDouble));
    torch::autograd::backward({out}, {c.upstream});
    return sum;
  };
  const auto zeros = [] { return at::zeros({7, 4}, at::kDouble); };
  EXPECT_TRUE(at::equal(replaced(zeros(), 2), replaced(zeros(), -1)));
}

TEST(Embedding, FrozenOrWithoutGradMode) {
  Case c = make_case(at::kFloat);
  const at::Tensor sum = at::zeros({7, 4});
  {
    at::NoGradGuard no_grad;
    EXPECT_FALSE(look_up(c.weight, c.ids, sum).requires_grad());
  }
  c.weight = c.weight.detach();
  EXPECT_FALSE(look_up(c.weight, c.ids, sum).requires_grad());
}

TEST(Embedding, Contract) {
  const Case c = make_case(at::kFloat);
  EXPECT_THROW(look_up(c.weight, c.ids.to(at::kInt)), c10::Error);
  EXPECT_THROW(look_up(c.weight, c.ids, at::zeros({6, 4})), c10::Error);
  EXPECT_THROW(look_up(c.weight, c.ids, at::zeros({4, 7}).t()), c10::Error);
  EXPECT_ANY_THROW(look_up(c.weight, at::tensor({7}, at::kLong)));
}

}  // namespace
}  // namespace caprl::ops
