#include "caprl/train/lr_schedule.h"

#include <gtest/gtest.h>

#include "caprl/train/optimizer.h"

namespace caprl {
namespace {

OptimizerConfig schedule(LrSchedule type) {
  OptimizerConfig config;
  config.lr = 2.0;
  config.lr_scheduler_type = type;
  config.lr_warmup_steps = 4;
  config.min_lr_ratio = 0.1;
  return config;
}

TEST(LrSchedule, WarmsUpLinearlyToThePeak) {
  for (const auto type :
       {LrSchedule::kConstant, LrSchedule::kLinear, LrSchedule::kCosine, LrSchedule::kWsd}) {
    EXPECT_DOUBLE_EQ(learning_rate(schedule(type), 1, 100), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(schedule(type), 4, 100), 2.0);
  }
}

TEST(LrSchedule, EndsAtTheFloor) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrSchedule::kConstant), 100, 100), 2.0);
  for (const auto type : {LrSchedule::kLinear, LrSchedule::kCosine, LrSchedule::kWsd})
    EXPECT_NEAR(learning_rate(schedule(type), 100, 100), 0.2, 1e-12);
}

TEST(LrSchedule, HalfWay) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrSchedule::kLinear), 52, 100), 1.1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrSchedule::kCosine), 52, 100), 1.1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrSchedule::kWsd), 60, 100), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrSchedule::kWsd), 80, 100), 1.1);
}

TEST(LrSchedule, DemonstrationIsFlatForSixtyPercentThenFallsToFive) {
  OptimizerConfig config;
  config.lr = 1.0;
  config.lr_scheduler_type = LrSchedule::kWsd;
  config.min_lr_ratio = 0.05;
  EXPECT_EQ(learning_rate(config, 1, 1000), 1.0);
  EXPECT_EQ(learning_rate(config, 600, 1000), 1.0);
  EXPECT_NEAR(learning_rate(config, 601, 1000), 1 - 0.95 / 400, 1e-12);
  EXPECT_NEAR(learning_rate(config, 1000, 1000), 0.05, 1e-12);
}

TEST(LrSchedule, NeverRisesAfterTheWarmUpAndNeverLeavesItsBounds) {
  for (const auto type :
       {LrSchedule::kConstant, LrSchedule::kLinear, LrSchedule::kCosine, LrSchedule::kWsd})
    for (const int64_t total : {1, 3, 4, 5, 50})
      for (int64_t step = 1; step <= 2 * total; ++step) {
        const double lr = learning_rate(schedule(type), step, total);
        EXPECT_GT(lr, 0);
        EXPECT_LE(lr, 2.0);
        if (step > 4) {
          EXPECT_LE(lr, learning_rate(schedule(type), step - 1, total) + 1e-15);
        }
      }
}

}  // namespace
}  // namespace caprl
