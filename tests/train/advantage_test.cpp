#include "caprl/train/advantage.h"
#include "caprl/reward/group_values.h"

#include <gtest/gtest.h>

#include <cmath>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using Rewards = std::vector<std::optional<double>>;

AlgorithmConfig with(AdvantageEstimator estimator) {
  AlgorithmConfig config;
  config.adv_estimator = estimator;
  return config;
}

// Rewards 1, 0, 0.5, 0.5: mean 0.5, variance with n − 1 is (0.25 + 0.25) / 3.
const Rewards kMixed = {1.0, 0.0, 0.5, 0.5};

TEST(Advantage, GrpoMatchesHandComputedTable) {
  const double deviation = std::sqrt(0.5 / 3) + 1e-6;
  const auto advantages = group_advantages(kMixed, with(AdvantageEstimator::kGrpo));
  ASSERT_EQ(advantages.size(), 4u);
  EXPECT_DOUBLE_EQ(advantages[0], 0.5 / deviation);
  EXPECT_DOUBLE_EQ(advantages[1], -0.5 / deviation);
  EXPECT_EQ(advantages[2], 0);
  EXPECT_EQ(advantages[3], 0);
}

TEST(Advantage, RlooComparesWithTheMeanOfTheOthers) {
  const auto advantages = group_advantages(kMixed, with(AdvantageEstimator::kRloo));
  EXPECT_DOUBLE_EQ(advantages[0], 1.0 - 1.0 / 3);
  EXPECT_DOUBLE_EQ(advantages[1], 0.0 - 2.0 / 3);
  EXPECT_DOUBLE_EQ(advantages[2], 0.0);
}

TEST(Advantage, DrGrpoOnlyCentres) {
  const auto advantages = group_advantages(kMixed, with(AdvantageEstimator::kDrGrpo));
  EXPECT_DOUBLE_EQ(advantages[0], 0.5);
  EXPECT_DOUBLE_EQ(advantages[1], -0.5);
}

TEST(Advantage, UnanimousGroupsAreExactlyZeroForEveryFraction) {
  for (const auto estimator :
       {AdvantageEstimator::kGrpo, AdvantageEstimator::kRloo, AdvantageEstimator::kDrGrpo})
    for (int asked = 1; asked <= 12; ++asked)
      for (int right = 0; right <= asked; ++right)
        for (const size_t group : {2u, 3u, 7u, 8u, 16u}) {
          const Rewards rewards(group, 2.0 * right / asked);
          for (const double advantage : group_advantages(rewards, with(estimator)))
            EXPECT_EQ(advantage, 0.0) << right << "/" << asked << " in a group of " << group;
        }
}

TEST(Advantage, EqualFractionsOfDifferentNumbersOfQuestionsAreUnanimous) {
  // 1 of 3, 3 of 9 and 5 of 15 right at a scale of 0.7: they differ in their last bit.
  const Rewards rewards = {0.7 * 1 / 3, 0.7 * 3 / 9, 0.7 * 5 / 15};
  ASSERT_NE(rewards[0], rewards[1]);
  EXPECT_TRUE(nothing_to_compare(rewards));
  for (const auto estimator :
       {AdvantageEstimator::kGrpo, AdvantageEstimator::kRloo, AdvantageEstimator::kDrGrpo})
    for (const double advantage : group_advantages(rewards, with(estimator)))
      EXPECT_EQ(advantage, 0.0);
}

TEST(Advantage, SmallestRealDifferenceCounts) {
  // 999 and 1000 of 1000 right.
  EXPECT_FALSE(nothing_to_compare({{0.999, 1.0}}));
  const auto advantages = group_advantages({0.999, 1.0}, with(AdvantageEstimator::kRloo));
  EXPECT_NEAR(advantages[0], -0.001, 1e-15);
  EXPECT_NEAR(advantages[1], 0.001, 1e-15);
}

TEST(Advantage, RlooIsDrGrpoTimesTheGroupOverTheOthers) {
  const Rewards rewards = {0.25, 0.5, 1.0, 0.0, 0.75};
  const auto rloo = group_advantages(rewards, with(AdvantageEstimator::kRloo));
  const auto centred = group_advantages(rewards, with(AdvantageEstimator::kDrGrpo));
  for (size_t i = 0; i < rewards.size(); ++i) EXPECT_NEAR(rloo[i], centred[i] * 5 / 4, 1e-15);
}

TEST(AlgorithmConfig, DualClipBelowOneIsRefused) {
  AlgorithmConfig config;
  config.validate();
  config.clip_ratio_c = 0;
  config.validate();
  config.clip_ratio_c = 0.5;
  try {
    config.validate();
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "config: 'algorithm.clip_ratio_c': expected 0 (off) or more than 1, got 0.5");
  }
}

TEST(Advantage, InvalidCaptionsTakeNoPart) {
  const Rewards rewards = {1.0, std::nullopt, 0.0};
  const auto advantages = group_advantages(rewards, with(AdvantageEstimator::kDrGrpo));
  EXPECT_DOUBLE_EQ(advantages[0], 0.5);
  EXPECT_EQ(advantages[1], 0.0);
  EXPECT_DOUBLE_EQ(advantages[2], -0.5);
}

TEST(Advantage, FewerThanTwoRewardsGiveNothingToCompare) {
  for (const Rewards& rewards : {Rewards{}, Rewards{1.0}, Rewards{std::nullopt, 1.0}})
    for (const double advantage : group_advantages(rewards, with(AdvantageEstimator::kGrpo)))
      EXPECT_EQ(advantage, 0.0);
}

TEST(AggregationWeights, TokenMeanHasOneDenominator) {
  const auto weights = aggregation_weights({3, 0, 5}, LossAggregation::kTokenMean, 0);
  EXPECT_DOUBLE_EQ(weights[0], 1.0 / 8);
  EXPECT_EQ(weights[1], 0.0);
  EXPECT_DOUBLE_EQ(weights[2], 1.0 / 8);
}

TEST(AggregationWeights, SequenceMeansWeighSequencesEqually) {
  const auto weights = aggregation_weights({3, 0, 5}, LossAggregation::kSeqMeanTokenMean, 0);
  EXPECT_DOUBLE_EQ(weights[0] * 3, 0.5);
  EXPECT_DOUBLE_EQ(weights[2] * 5, 0.5);
}

TEST(AggregationWeights, TokenSumsAreAveragedOverSequences) {
  const auto weights = aggregation_weights({3, 0, 5}, LossAggregation::kSeqMeanTokenSum, 0);
  EXPECT_DOUBLE_EQ(weights[0], 0.5);
  EXPECT_EQ(weights[1], 0.0);
  EXPECT_DOUBLE_EQ(weights[2], 0.5);
}

TEST(AggregationWeights, NothingScoredHasNoWeights) {
  for (const auto mode : {LossAggregation::kTokenMean, LossAggregation::kSeqMeanTokenMean,
                          LossAggregation::kSeqMeanTokenSum, LossAggregation::kSeqMeanTokenSumNorm})
    EXPECT_EQ(aggregation_weights({0, 0}, mode, 7), (std::vector<double>{0, 0}));
}

TEST(AggregationWeights, ConstantDivisorDoesNotDependOnLengths) {
  const auto weights = aggregation_weights({3, 5}, LossAggregation::kSeqMeanTokenSumNorm, 100);
  EXPECT_DOUBLE_EQ(weights[0], 1.0 / 200);
  EXPECT_DOUBLE_EQ(weights[1], 1.0 / 200);
  EXPECT_THROW(aggregation_weights({3}, LossAggregation::kSeqMeanTokenSumNorm, 0), Error);
}

}  // namespace
}  // namespace caprl
