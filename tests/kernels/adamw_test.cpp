// AdamW against torch.optim.AdamW's formula in double precision.
#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

using Doubles = std::vector<double>;

struct State {
  std::vector<float> gradient, master, exp_avg, exp_avg_sq;
};

State random_state(size_t size, unsigned seed = 1) {
  State state{random_values<float>(size, seed, 2.0), random_values<float>(size, seed + 1, 0.5),
              random_values<float>(size, seed + 2, 0.3), random_values<float>(size, seed + 3, 1.0)};
  for (float& v : state.exp_avg_sq) v *= v;
  return state;
}

AdamWTerms terms_of_step(int t, double weight_decay = 0.1, double gradient_scale = 1) {
  AdamWTerms terms{.lr = 3e-2, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
  terms.weight_decay = weight_decay;
  terms.correction1 = 1 - std::pow(terms.beta1, t);
  terms.correction2 = 1 - std::pow(terms.beta2, t);
  terms.gradient_scale = gradient_scale;
  return terms;
}

/// The state after a step, and how far single precision may be from it.
struct Expected {
  Doubles master, exp_avg, exp_avg_sq, master_slack, exp_avg_slack, exp_avg_sq_slack;
};

Expected reference(const State& state, const AdamWTerms& t) {
  constexpr double kSlack = 0x1p-22;  // four roundings
  Expected e;
  for (size_t i = 0; i < state.master.size(); ++i) {
    const double g = state.gradient[i] * t.gradient_scale, old_m = state.exp_avg[i];
    const double m = t.beta1 * old_m + (1 - t.beta1) * g;
    const double v = t.beta2 * state.exp_avg_sq[i] + (1 - t.beta2) * g * g;
    const double denominator = std::sqrt(v / t.correction2) + t.eps;
    const double decayed = state.master[i] - t.lr * t.weight_decay * state.master[i];
    e.master.push_back(decayed - t.lr * (m / t.correction1) / denominator);
    e.exp_avg.push_back(m);
    e.exp_avg_sq.push_back(v);
    const double m_slack = kSlack * (std::abs(old_m) + std::abs(g));
    e.exp_avg_slack.push_back(m_slack);
    e.exp_avg_sq_slack.push_back(kSlack * v);
    e.master_slack.push_back(kSlack * std::abs(state.master[i]) +
                             t.lr / t.correction1 * m_slack / denominator);
  }
  return e;
}

void expect_within(const std::vector<float>& got, const Doubles& expected, const Doubles& slack,
                   const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::abs(got[i] - expected[i]), slack[i])
        << what << "[" << i << "]: expected " << expected[i] << ", got " << got[i];
}

struct Offsets {
  size_t gradient = 0, master = 0, exp_avg = 0, exp_avg_sq = 0, weights = 0;
};

/// Runs a step on the device and puts the state into `state`; the weights are checked to be the
/// rounded master.
void step(State& state, const AdamWTerms& terms, bool with_weights, const Offsets& offsets = {}) {
  DeviceBuffer<float> gradient(state.gradient, offsets.gradient);
  DeviceBuffer<float> master(state.master, offsets.master);
  DeviceBuffer<float> exp_avg(state.exp_avg, offsets.exp_avg);
  DeviceBuffer<float> exp_avg_sq(state.exp_avg_sq, offsets.exp_avg_sq);
  DeviceBuffer<Bf16> weights(state.master.size(), offsets.weights);
  adamw({.size = static_cast<int64_t>(state.master.size()),
         .gradient = gradient.get(),
         .master = master.get(),
         .exp_avg = exp_avg.get(),
         .exp_avg_sq = exp_avg_sq.get(),
         .weights = with_weights ? weights.get() : nullptr},
        terms, nullptr);
  const auto gradient_after = gradient.values();
  ASSERT_EQ(std::memcmp(gradient_after.data(), state.gradient.data(), 4 * state.gradient.size()),
            0);
  state.master = master.values();
  state.exp_avg = exp_avg.values();
  state.exp_avg_sq = exp_avg_sq.values();
  const auto rounded = weights.values();
  for (size_t i = 0; i < rounded.size(); ++i)
    ASSERT_EQ(rounded[i].bits, with_weights ? to_bf16(state.master[i]).bits : 0xffff) << i;
}

void expect_step(State state, const AdamWTerms& terms, bool with_weights,
                 const Offsets& offsets = {}) {
  const Expected expected = reference(state, terms);
  step(state, terms, with_weights, offsets);
  expect_within(state.exp_avg, expected.exp_avg, expected.exp_avg_slack, "exp_avg");
  expect_within(state.exp_avg_sq, expected.exp_avg_sq, expected.exp_avg_sq_slack, "exp_avg_sq");
  expect_within(state.master, expected.master, expected.master_slack, "master");
}

TEST(AdamW, FollowsTheFormulaForEverySize) {
  for (const size_t size :
       {1, 2, 3, 4, 5, 7, 8, 31, 33, 127, 129, 1019, 1023, 1024, 1025, 1028, 1031, 4099, 20'011})
    for (const bool with_weights : {false, true}) {
      SCOPED_TRACE(size);
      expect_step(random_state(size), terms_of_step(3), with_weights);
    }
}

TEST(AdamW, FollowsTheFormulaAtEveryAlignment) {
  for (const size_t size : {5, 1030})
    for (const Offsets& offsets :
         {Offsets{1, 1, 1, 1, 1}, Offsets{.gradient = 1}, Offsets{.master = 2},
          Offsets{.exp_avg = 3}, Offsets{.exp_avg_sq = 1}, Offsets{.weights = 2},
          Offsets{.weights = 4}, Offsets{.weights = 1}})
      expect_step(random_state(size), terms_of_step(2), true, offsets);
}

TEST(AdamW, FollowsTheFormulaOverManySteps) {
  State state = random_state(257);
  state.exp_avg.assign(257, 0);
  state.exp_avg_sq.assign(257, 0);
  for (int t = 1; t <= 30; ++t) {
    const AdamWTerms terms = terms_of_step(t, t % 2 ? 0.1 : 0.0, t % 3 ? 1 : 0.37);
    state.gradient = random_values<float>(257, 100 + t, 0.01);
    expect_step(state, terms, true);
    step(state, terms, true);
  }
}

TEST(AdamW, DecayAloneScales) {
  State state = random_state(100);
  for (auto* zeros : {&state.gradient, &state.exp_avg, &state.exp_avg_sq}) zeros->assign(100, 0);
  const auto before = state.master;
  for (const double weight_decay : {0.0, 0.5}) {
    state.master = before;
    step(state, terms_of_step(1, weight_decay), false);
    const auto factor = static_cast<float>(1 - 3e-2 * weight_decay);
    for (size_t i = 0; i < 100; ++i) EXPECT_EQ(state.master[i], factor * before[i]);
  }
}

TEST(AdamW, ClippingIsThatOfAScaledGradient) {
  State scaled = random_state(300), clipped = scaled;
  for (float& g : scaled.gradient) g *= 0.125f;
  step(scaled, terms_of_step(4), true);
  step(clipped, terms_of_step(4, 0.1, 0.125), true);
  EXPECT_EQ(clipped.master, scaled.master);
  EXPECT_EQ(clipped.exp_avg, scaled.exp_avg);
  EXPECT_EQ(clipped.exp_avg_sq, scaled.exp_avg_sq);
}

TEST(AdamW, WithoutMomentumTheFirstMomentIsTheGradient) {
  State state = random_state(50);
  state.exp_avg.assign(50, 1e8f);
  AdamWTerms terms = terms_of_step(1);
  terms.beta1 = 0;
  terms.correction1 = 1;
  step(state, terms, false);
  EXPECT_EQ(state.exp_avg, state.gradient);
}

TEST(AdamW, FarNumbersAreNoTrouble) {
  State state = random_state(64);
  const float values[] = {0, 1e-20f, 1e18f, -1e18f, 1e-8f, 1e-30f};
  for (size_t i = 0; i < 64; ++i) {
    state.gradient[i] = values[i % 6];
    state.exp_avg[i] = values[i / 6 % 6] * 0.5f;
    // Squares that float can hold to full precision; 0 is one.
    const float root = values[i % 5] < 1e-17f ? 0 : values[i % 5];
    state.exp_avg_sq[i] = root * root;
  }
  AdamWTerms terms = terms_of_step(1);
  terms.eps = 1e-3;
  const Expected expected = reference(state, terms);
  step(state, terms, true);
  for (size_t i = 0; i < 64; ++i) {
    ASSERT_TRUE(std::isfinite(state.master[i])) << i;
    ASSERT_LE(std::abs(state.master[i] - expected.master[i]), expected.master_slack[i] + 1e-9) << i;
  }
}

TEST(AdamW, NanReachesItsOwnParameterOnly) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const size_t size : {13, 1024}) {
    const State clean = random_state(size);
    State good = clean, bad = clean;
    bad.gradient[6] = nan;
    bad.gradient[size - 1] = nan;
    step(good, terms_of_step(2), true);
    step(bad, terms_of_step(2), true);
    for (size_t i = 0; i < size; ++i) {
      const bool hit = i == 6 || i == size - 1;
      EXPECT_EQ(std::isnan(bad.master[i]), hit) << i;
      EXPECT_EQ(std::isnan(bad.exp_avg[i]), hit) << i;
      EXPECT_EQ(std::isnan(bad.exp_avg_sq[i]), hit) << i;
      if (hit) continue;
      EXPECT_EQ(bad.master[i], good.master[i]) << i;
    }
  }
}

TEST(AdamW, NothingIsNoWork) {
  const State state = random_state(3);
  DeviceBuffer<float> gradient(state.gradient), master(state.master), exp_avg(state.exp_avg),
      exp_avg_sq(state.exp_avg_sq);
  adamw({.size = 0,
         .gradient = gradient.get(),
         .master = master.get(),
         .exp_avg = exp_avg.get(),
         .exp_avg_sq = exp_avg_sq.get()},
        terms_of_step(1), nullptr);
  EXPECT_EQ(master.values(), state.master);
  EXPECT_EQ(exp_avg.values(), state.exp_avg);
  EXPECT_EQ(exp_avg_sq.values(), state.exp_avg_sq);
}

}  // namespace
}  // namespace caprl::kernels
