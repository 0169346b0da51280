// Who gets what of a step.
#include "train/share.h"

#include "caprl/data/dataset.h"
#include "caprl/generation/prompts.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::ElementsAre;

std::vector<int64_t> sums(std::span<const int64_t> sizes, std::span<const int> owners, int ranks) {
  std::vector<int64_t> sums(static_cast<size_t>(ranks), 0);
  for (size_t i = 0; i < sizes.size(); ++i) sums[static_cast<size_t>(owners[i])] += sizes[i];
  return sums;
}

TEST(Deal, TheLargestFirstToWhoHasLeast) {
  const std::vector<int64_t> sizes = {2, 9, 4, 4, 3};
  const auto owners = deal(sizes, 2);
  EXPECT_THAT(owners, ElementsAre(0, 0, 1, 1, 1));
  EXPECT_THAT(sums(sizes, owners, 2), ElementsAre(11, 11));
}

TEST(Deal, NobodyGetsMoreThanTheMost) {
  const std::vector<int64_t> sizes = {100, 1, 1, 1, 1, 1};
  EXPECT_THAT(sums(sizes, deal(sizes, 2), 2), ElementsAre(100, 5));
  EXPECT_THAT(sums(sizes, deal(sizes, 2, 3), 2), ElementsAre(102, 3));
}

class Prompts : public TinyRun {};

TEST_F(Prompts, AreCountedByTheirImagesHeaders) {
  const PromptBuilder prompts(path("captioner"), "", Model::load(path("captioner"), {})->traits(),
                              4096);
  const auto rows =
      load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, prompts.tokenizer());
  ASSERT_GE(rows.rows.size(), 10u);
  for (const CaptionRow& row : rows.rows) {
    const std::span images(&row.image, 1);
    EXPECT_EQ(prompts.num_tokens(row.prompt, images),
              static_cast<int64_t>(prompts.build(row.prompt, images, row.where).ids.size()));
  }
}

}  // namespace
}  // namespace caprl
