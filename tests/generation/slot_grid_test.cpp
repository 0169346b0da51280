#include "generation/slot_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "caprl/core/philox.h"

namespace caprl {
namespace {

using Ids = std::vector<int64_t>;
constexpr int64_t kHole = SlotGrid::kHole;

TEST(SlotGrid, PutsEachPromptInARow) {
  const SlotGrid grid = make_grid(Ids{2, 3, 1});
  EXPECT_EQ(grid.width, 3);
  EXPECT_EQ(grid.prompts, (Ids{0, 1, 2}));
  EXPECT_EQ(grid.sequences, (Ids{0, 1, kHole, 2, 3, 4, 5, kHole, kHole}));
}

TEST(SlotGrid, CompactsByHandCheckedTable) {
  const SlotGrid grid = make_grid(Ids{4, 4, 4});
  struct Case {
    std::set<int64_t> active;
    int64_t width;
    Ids prompts, sequences, slot_sources;
  };
  const std::vector<Case> cases{
      // One sequence a prompt: a single column.
      {{1, 6, 8}, 1, {0, 1, 2}, {1, 6, 8}, {1, 6, 8}},
      // A prompt is gone.
      {{4, 5, 6, 7, 9, 10, 11},
       4,
       {1, 2},
       {4, 5, 6, 7, 9, 10, 11, kHole},
       {4, 5, 6, 7, 9, 10, 11, 9}},
      // Four and one: the four take two rows, for three rows are there.
      {{0, 1, 2, 3, 9}, 2, {0, 0, 2}, {0, 1, 2, 3, 9, kHole}, {0, 1, 2, 3, 9, 9}},
      {{2}, 1, {0}, {2}, {2}},
  };
  for (const Case& c : cases) {
    const auto result = compact(grid, [&](int64_t i) { return c.active.contains(i); });
    ASSERT_TRUE(result);
    EXPECT_EQ(result->grid.width, c.width);
    EXPECT_EQ(result->grid.prompts, c.prompts);
    EXPECT_EQ(result->row_sources, c.prompts);
    EXPECT_EQ(result->grid.sequences, c.sequences);
    EXPECT_EQ(result->slot_sources, c.slot_sources);
  }
}

TEST(SlotGrid, LeavesSmallGainsAndEmptyGridsAlone) {
  const SlotGrid grid = make_grid(Ids{4, 4});
  EXPECT_FALSE(compact(grid, [](int64_t i) { return i != 0; }));
  EXPECT_FALSE(compact(grid, [](int64_t) { return false; }));
  EXPECT_TRUE(compact(grid, [](int64_t i) { return i % 4 != 0; }));
}

// Sequences end at random; whatever happens, every active one keeps its place's content.
TEST(SlotGrid, RepeatedCompactionKeepsEverySequence) {
  for (uint64_t trial = 0; trial < 50; ++trial) {
    const CounterRng rng(trial, RandomPurpose::kDemoWorld, {});
    Ids counts, prompt_of;
    for (uint64_t p = 0; p < 6; ++p) {
      counts.push_back(1 + rng.below(7, 1000 + p));
      prompt_of.insert(prompt_of.end(), counts.back(), static_cast<int64_t>(p));
    }
    SlotGrid grid = make_grid(counts);
    std::set<int64_t> active;
    for (size_t i = 0; i < prompt_of.size(); ++i) active.insert(static_cast<int64_t>(i));
    for (uint64_t step = 0; !active.empty(); ++step) {
      const auto result = compact(grid, [&](int64_t i) { return active.contains(i); });
      if (result) {
        const SlotGrid& next = result->grid;
        EXPECT_LE(next.num_rows(), grid.num_rows());
        EXPECT_LE(4 * next.num_slots(), 3 * grid.num_slots());
        ASSERT_EQ(next.num_slots(), next.num_rows() * next.width);
        std::multiset<int64_t> placed;
        for (int64_t slot = 0; slot < next.num_slots(); ++slot) {
          const int64_t row = slot / next.width, source = result->slot_sources[slot];
          EXPECT_EQ(grid.prompts[result->row_sources[row]], next.prompts[row]);
          EXPECT_EQ(grid.prompts[source / grid.width], next.prompts[row]);
          if (next.sequences[slot] == kHole) continue;
          EXPECT_EQ(next.sequences[slot], grid.sequences[source]);
          EXPECT_EQ(next.prompts[row], prompt_of[next.sequences[slot]]);
          placed.insert(next.sequences[slot]);
        }
        EXPECT_EQ(placed, std::multiset<int64_t>(active.begin(), active.end()));
        grid = next;
      }
      auto victim = active.begin();
      std::advance(victim, rng.below(static_cast<int64_t>(active.size()), step));
      active.erase(victim);
    }
  }
}

}  // namespace
}  // namespace caprl
