#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "caprl/core/error.h"
#include "caprl/data/dataset.h"

namespace caprl {
namespace {

std::vector<int64_t> indices(const DataOrder& order, int64_t steps) {
  std::vector<int64_t> all;
  for (int64_t step = 1; step <= steps; ++step)
    for (const auto& item : order.step(step)) all.push_back(item.index);
  return all;
}

TEST(DataOrder, EveryEpochIsAPermutationOfItsOwn) {
  const DataOrder order(7, 3, true, 11);  // steps straddle epochs
  const std::vector<int64_t> all = indices(order, 14);
  std::set<std::vector<int64_t>> epochs;
  for (size_t begin = 0; begin < all.size(); begin += 7) {
    const std::vector<int64_t> epoch(all.begin() + begin, all.begin() + begin + 7);
    EXPECT_THAT(epoch, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6));
    epochs.insert(epoch);
  }
  EXPECT_GE(epochs.size(), 5u);  // of 6; two equal ones would be a chance of 15 / 5040
}

TEST(DataOrder, PlacesCountOnWithoutRepeating) {
  const DataOrder order(4, 3, true, 1);
  int64_t place = 0;
  for (int64_t step = 1; step <= 5; ++step)
    for (const auto& item : order.step(step)) EXPECT_EQ(item.place, place++);
}

TEST(DataOrder, AStepDependsOnSeedAndStepAlone) {
  const DataOrder order(100, 8, true, 5);
  const auto later = order.step(40);
  const auto again = DataOrder(100, 8, true, 5).step(40);
  for (size_t i = 0; i < later.size(); ++i) EXPECT_EQ(later[i].index, again[i].index);
  EXPECT_NE(indices(order, 12), indices(DataOrder(100, 8, true, 6), 12));
}

TEST(DataOrder, FileOrderAndBatchesAboveTheData) {
  EXPECT_THAT(indices(DataOrder(3, 2, false, 9), 3), testing::ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(indices(DataOrder(2, 5, false, 9), 1), testing::ElementsAre(0, 1, 0, 1, 0));
}

TEST(DataOrder, Epochs) {
  const DataOrder order(8, 2, true, 1);
  EXPECT_DOUBLE_EQ(order.epochs(0), 0);
  EXPECT_DOUBLE_EQ(order.epochs(6), 1.5);
}

TEST(DataOrder, NoRows) { EXPECT_THROW(DataOrder(0, 2, true, 1), InputError); }

}  // namespace
}  // namespace caprl
