// The CPU's softmax kernels beside double precision, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "all_kernels.h"
#include "kernel_inputs.h"

namespace caprl::ops::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Rows {
  int64_t count, vocab;
  float temperature;
  std::vector<float> logits, highest, sum, logprobs, entropy;
  std::vector<int64_t> targets;

  Rows(int64_t count_given, int64_t vocab_given, float temperature_given, float spread)
      : count(count_given),
        vocab(vocab_given),
        temperature(temperature_given),
        logits(numbers(count * vocab, 1)),
        highest(count, NAN),
        sum(highest),
        logprobs(highest),
        entropy(highest) {
    for (float& logit : logits) logit *= spread;
    for (int64_t row = 0; row < count; ++row) targets.push_back((7 * row + 3) % vocab);
  }

  SoftmaxRows problem() {
    return {vocab,          temperature, logits.data(),   targets.data(),
            highest.data(), sum.data(),  logprobs.data(), entropy.data()};
  }
};

struct Exact {
  std::vector<double> p;
  double log_sum = 0, entropy = 0;
};

/// Of one row in double precision; 0 · log 0 = 0.
Exact exact(const Rows& rows, int64_t row) {
  Exact result;
  double highest = -kInfinity, sum = 0;
  std::vector<double> z;
  for (int64_t i = 0; i < rows.vocab; ++i) {
    z.push_back(static_cast<double>(rows.logits[row * rows.vocab + i]) / rows.temperature);
    highest = std::max(highest, z.back());
  }
  for (const double value : z) sum += std::exp(value - highest);
  result.log_sum = highest + std::log(sum);
  for (const double value : z) {
    result.p.push_back(std::exp(value - result.log_sum));
    if (result.p.back() > 0) result.entropy -= result.p.back() * (value - result.log_sum);
  }
  return result;
}

void check(const Kernels& kernels, int64_t vocab, float temperature, float spread,
           bool with_bonus) {
  SCOPED_TRACE(testing::Message() << kernels.name << ", " << vocab << " tokens, spread " << spread);
  Rows rows(9, vocab, temperature, spread);
  if (vocab > 20) rows.logits[2 * vocab + 11] = -kInfinity;
  const Rows given = rows;
  kernels.softmax(rows.problem(), 0, 4);
  kernels.softmax(rows.problem(), 4, 9);
  const std::vector<int64_t> active{0, 2, 3, 7, 8};
  const auto d_logp = numbers(9, 2), bonus = numbers(9, 3);
  const SoftmaxGradients backward{rows.problem(), 5, active.data(), d_logp.data(),
                                  with_bonus ? bonus.data() : nullptr};
  // Another range first: rows move up all the same.
  const int64_t cut = vocab * 2 / 5;
  kernels.softmax_backward(backward, cut, vocab);
  kernels.softmax_backward(backward, 0, cut);
  for (int64_t row = 0; row < 9; ++row) {
    const Exact of = exact(given, row);
    const double target = given.logits[row * vocab + given.targets[row]] / temperature;
    ASSERT_NEAR(rows.logprobs[row], target - of.log_sum, 2e-6 * (1 + std::abs(of.log_sum)));
    ASSERT_NEAR(rows.entropy[row], of.entropy, 5e-6 * (1 + of.entropy));
  }
  for (size_t place = 0; place < active.size(); ++place) {
    const int64_t row = active[place];
    const Exact of = exact(given, row);
    const double b = with_bonus ? bonus[row] : 0, c = d_logp[row];
    for (int64_t i = 0; i < vocab; ++i) {
      const double p = of.p[i], log_p = p > 0 ? std::log(p) : 0;
      const double expected =
          (c * ((i == given.targets[row]) - p) + b * p * (log_p + of.entropy)) / temperature;
      ASSERT_NEAR(rows.logits[place * vocab + i], expected, 3e-6 * (1 + std::abs(expected)))
          << "row " << row << ", token " << i;
    }
  }
}

TEST(Softmax, AndItsGradientMatchDoublePrecision) {
  for (const Kernels* kernels : all_kernels())
    for (const int64_t vocab : {1, 5, 16, 37, 1024, 3001})
      for (const bool with_bonus : {false, true}) {
        check(*kernels, vocab, 1.0f, 1.0f, with_bonus);
        check(*kernels, vocab, 0.7f, 20.0f, with_bonus);
      }
}

TEST(Softmax, WhatIsNoNumberStaysInItsRow) {
  for (const Kernels* kernels : all_kernels())
    for (const float bad : {static_cast<float>(NAN), kInfinity, -kInfinity}) {
      SCOPED_TRACE(testing::Message() << kernels->name << ", " << bad);
      Rows rows(3, 40, 1.0f, 1.0f);
      for (int64_t i = 0; i < 40; ++i)
        if (bad == -kInfinity || i == 36) rows.logits[40 + i] = bad;  // all, or one, of the second
      kernels->softmax(rows.problem(), 0, 3);
      for (int64_t row = 0; row < 3; ++row) {
        EXPECT_EQ(std::isnan(rows.logprobs[row]), row == 1);
        EXPECT_EQ(std::isnan(rows.entropy[row]), row == 1);
      }
      std::vector<int64_t> active(3);
      std::iota(active.begin(), active.end(), 0);
      const std::vector<float> d_logp(3, 1.0f);
      kernels->softmax_backward({rows.problem(), 3, active.data(), d_logp.data(), nullptr}, 0, 40);
      for (int64_t i = 0; i < 3 * 40; ++i) EXPECT_EQ(std::isnan(rows.logits[i]), i / 40 == 1) << i;
    }
}

}  // namespace
}  // namespace caprl::ops::cpu
