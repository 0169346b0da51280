#include "caprl/dist/shards.h"

#include <gmock/gmock.h>

namespace caprl {
namespace {

TEST(Shards, OfOneRankIsEverything) {
  const Shards shards(10);
  EXPECT_THAT(shards.buckets(), testing::ElementsAre(Extent{0, 10}));
  ASSERT_EQ(shards.pieces(0).size(), 1u);
  EXPECT_EQ(shards.pieces(0)[0].range, (Extent{0, 10}));
  EXPECT_TRUE(Shards(0).pieces(0).empty());
}

TEST(Shards, AsWrittenByHand) {
  const Shards shards(13, 2, 5);  // buckets of 6, padded to 14
  EXPECT_EQ(shards.padded(), 14);
  EXPECT_EQ(shards.part_size(), 7);
  EXPECT_THAT(shards.buckets(), testing::ElementsAre(Extent{0, 6}, Extent{6, 6}, Extent{12, 2}));
  const auto first = shards.pieces(0), second = shards.pieces(1);
  ASSERT_EQ(first.size(), 3u);
  EXPECT_EQ(first[1].range, (Extent{6, 3}));
  EXPECT_EQ(first[2].range, (Extent{12, 1}));
  EXPECT_EQ(first[2].local, 6);
  ASSERT_EQ(second.size(), 2u);  // its part of the last bucket is padding
  EXPECT_EQ(second[1].range, (Extent{9, 3}));
  EXPECT_EQ(second[1].local, 3);
}

TEST(Shards, EveryValueBelongsToOneRank) {
  for (const int64_t values : {0, 1, 7, 64, 1000})
    for (const int ranks : {1, 2, 3, 8})
      for (const int64_t bucket : {1, 10, 64, 5000}) {
        const Shards shards(values, ranks, bucket);
        std::vector<int> owners(static_cast<size_t>(values), 0);
        for (int r = 0; r < ranks; ++r)
          for (const auto& piece : shards.pieces(r)) {
            EXPECT_LE(piece.local + piece.range.size, shards.part_size());
            for (int64_t i = piece.range.begin; i < piece.range.end(); ++i)
              ++owners.at(static_cast<size_t>(i));
          }
        EXPECT_THAT(owners, testing::Each(1)) << values << ' ' << ranks << ' ' << bucket;
        int64_t end = 0;
        for (const Extent& range : shards.buckets()) {
          EXPECT_EQ(range.begin, end);
          EXPECT_EQ(range.size % ranks, 0);
          end = range.end();
        }
        EXPECT_EQ(end, shards.padded());
        EXPECT_EQ(end, shards.part_size() * ranks);
      }
}

}  // namespace
}  // namespace caprl
