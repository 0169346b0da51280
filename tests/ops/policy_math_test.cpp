// The loss of one token against a table made by hand and against finite differences.
#include "kernels/math/policy_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace caprl::kernels {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

PolicyTerms<double> terms(double clip_c = 3, Kl kl = Kl::kNone, double kl_coef = 0) {
  return {0.2, 0.3, clip_c, kl, kl_coef};
}

TEST(PolicyMath, ClipsAsTheTableSays) {
  struct Row {
    double ratio, advantage, clip_c, loss, d_logp;
    bool clipped;
  };
  const Row rows[] = {
      {1.00, 2, 3, -2.00, -2.00, false}, {1.29, 1, 3, -1.29, -1.29, false},
      {1.31, 1, 3, -1.30, 0.000, true},  {9.00, 2, 3, -2.60, 0.000, true},
      {0.50, 1, 3, -0.50, -0.50, false},  // a good token made rarer is not clipped
      {0.81, -1, 3, 0.81, 0.81, false},  {0.79, -1, 3, 0.80, 0.000, true},
      {2.00, -1, 3, 2.00, 2.00, false},  // a bad token made likelier is not, up to the dual clip
      {2.99, -2, 3, 5.98, 5.98, false},  {3.01, -2, 3, 6.00, 0.000, true},
      {3.01, -2, 0, 6.02, 6.02, false},  {3.01, 2, 3, -2.60, 0.000, true},
      {7.00, 0, 3, 0.000, 0.000, false},
  };
  for (const Row& row : rows) {
    const auto token =
        policy_token_loss(-1.5, -1.5 - std::log(row.ratio), kNan, row.advantage, terms(row.clip_c));
    SCOPED_TRACE(testing::Message() << "ratio " << row.ratio << " advantage " << row.advantage);
    EXPECT_NEAR(token.ratio, row.ratio, 1e-14);
    EXPECT_NEAR(token.loss, row.loss, 1e-14);
    EXPECT_NEAR(token.d_logp, row.d_logp, 1e-14);
    EXPECT_EQ(token.clipped, row.clipped);
    EXPECT_EQ(token.kl, 0);
  }
}

TEST(PolicyMath, ValuesAtTheClipsAreNotClipped) {
  const PolicyTerms<double> closed{0, 0, 1, Kl::kNone, 0};
  for (const double advantage : {1.0, -1.0}) {
    const auto token = policy_token_loss(-2.0, -2.0, 0.0, advantage, closed);
    EXPECT_EQ(token.loss, -advantage);
    EXPECT_EQ(token.d_logp, -advantage);
    EXPECT_FALSE(token.clipped);
  }
}

TEST(PolicyMath, KlAsTheTableSays) {
  struct Row {
    Kl kl;
    double x, value, derivative;  // x = log reference − log policy
  };
  const double e20 = std::exp(20.0);
  const Row rows[] = {
      {Kl::kK1, 0.5, -0.5, 1},
      {Kl::kK1, -25, 25, 1},
      {Kl::kK2, 0.5, 0.125, -0.5},
      {Kl::kK2, -3, 4.5, 3},
      {Kl::kK3, std::log(2.0), 1 - std::log(2.0), -1},
      {Kl::kK3, -std::log(2.0), std::log(2.0) - 0.5, 0.5},
      {Kl::kK3, 20, e20 - 21, 1 - e20},
      {Kl::kK3, 25, e20 - 21, 0},
      {Kl::kK3, -25, 1 / e20 + 19, 0},
      {Kl::kNone, kNan, 0, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << "k" << static_cast<int>(row.kl) << " of " << row.x);
    const auto token = policy_token_loss(-1.0, -1.0, -1.0 + row.x, 0.0, terms(3, row.kl, 0.5));
    EXPECT_NEAR(token.kl, row.value, 1e-14 * (1 + std::abs(row.value)));
    EXPECT_NEAR(token.loss, 0.5 * row.value, 1e-14 * (1 + std::abs(row.value)));
    EXPECT_NEAR(token.d_logp, 0.5 * row.derivative, 1e-14 * (1 + std::abs(row.derivative)));
  }
}

TEST(PolicyMath, DerivativesMatchFiniteDifferences) {
  const double h = 1e-6;
  int checked = 0;
  for (const Kl kl : {Kl::kNone, Kl::kK1, Kl::kK2, Kl::kK3})
    for (const double clip_c : {0.0, 1.5, 3.0})
      for (const double advantage : {-2.0, -0.3, 0.0, 0.7, 3.0})
        for (double difference = -3.05; difference < 3.1; difference += 0.1)
          for (const double x : {-2.5, -0.1, 0.0, 0.4, 1.5}) {
            const auto loss_at = [&](double logp) {
              return policy_token_loss(logp, -4 - difference, -4 + x, advantage,
                                       terms(clip_c, kl, 0.25));
            };
            const double slope = (loss_at(-4 + h).loss - loss_at(-4 - h).loss) / (2 * h);
            if (loss_at(-4 + h).clipped != loss_at(-4 - h).clipped) continue;
            EXPECT_NEAR(loss_at(-4).d_logp, slope, 1e-7 * (1 + std::abs(slope)));
            ++checked;
          }
  EXPECT_GT(checked, 18'000);
}

TEST(PolicyMath, ImpossibleTokensStayFinite) {
  for (const double difference : {1e4, -1e4, 21.0, -21.0})
    for (const double advantage : {1.0, -1.0}) {
      const auto token = policy_token_loss(-1e4, -1e4 - difference, -1e4 + difference, advantage,
                                           terms(0, Kl::kK3, 1));
      EXPECT_EQ(token.ratio, std::exp(difference > 0 ? 20.0 : -20.0));
      EXPECT_TRUE(std::isfinite(token.loss));
      EXPECT_EQ(token.d_logp, 0);
    }
}

TEST(PolicyMath, NanIsNeverSwallowed) {
  for (const Kl kl : {Kl::kNone, Kl::kK1, Kl::kK2, Kl::kK3}) {
    EXPECT_TRUE(std::isnan(policy_token_loss(kNan, kNan, -1.0, 1.0, terms(3, kl, 1)).d_logp));
    EXPECT_TRUE(std::isnan(policy_token_loss(-1.0, kNan, -1.0, -1.0, terms(3, kl, 1)).loss));
    EXPECT_TRUE(std::isnan(policy_token_loss(-1.0, -1.0, -1.0, kNan, terms(3, kl, 1)).d_logp));
  }
  for (const Kl kl : {Kl::kK1, Kl::kK2, Kl::kK3}) {
    const auto token = policy_token_loss(-1.0, -1.0, kNan, 1.0, terms(3, kl, 1));
    EXPECT_TRUE(std::isnan(token.kl) && std::isnan(token.d_logp));
  }
}

}  // namespace
}  // namespace caprl::kernels
