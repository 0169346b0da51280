// Which groups enter the update, by themselves and in runs.
#include "train/group_filter.h"

#include "caprl/train/grpo_trainer.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

CaptionGroup group(uint64_t id, const std::vector<std::optional<double>>& rewards) {
  CaptionGroup group;
  group.prompt_id = id;
  for (const auto& reward : rewards) group.captions.emplace_back().reward.value = reward;
  return group;
}

std::vector<uint64_t> ids(const std::vector<CaptionGroup>& groups) {
  std::vector<uint64_t> ids;
  for (const CaptionGroup& group : groups) ids.push_back(group.prompt_id);
  return ids;
}

TEST(GroupFilter, KeepsEverythingUnlessItIsOn) {
  GroupFilter filter({}, 2);
  filter.add({group(0, {1, 1}), group(1, {0, 1}), group(2, {})});
  EXPECT_FALSE(filter.wants_more());
  EXPECT_THAT(ids(filter.kept()), ElementsAre(0, 1, 2));
}

TEST(GroupFilter, PutsFlatGroupsAsideAndAsksForMore) {
  GroupFilter filter({true, 3}, 3);
  filter.add({group(0, {1, 1}), group(1, {0, 1}), group(2, {0.5, std::nullopt})});
  EXPECT_TRUE(filter.wants_more());
  EXPECT_THAT(ids(filter.kept()), ElementsAre(1));
  filter.add({group(3, {0, 0}), group(4, {1, 2}), group(5, {2, 1})});
  EXPECT_FALSE(filter.wants_more());
  filter.add({group(6, {0, 1})});  // more than wanted
  EXPECT_THAT(ids(filter.kept()), ElementsAre(1, 4, 5));
  EXPECT_EQ(filter.num_batches(), 3);
  EXPECT_THAT(ids(filter.take_all()), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(filter.kept(), IsEmpty());
}

TEST(GroupFilter, StopsAtTheConfiguredNumberOfBatches) {
  GroupFilter filter({true, 2}, 3);
  filter.add({group(0, {1, 1})});
  EXPECT_TRUE(filter.wants_more());
  filter.add({group(1, {1, 1})});
  EXPECT_FALSE(filter.wants_more());
  EXPECT_THAT(filter.kept(), IsEmpty());
}

class FilteredRun : public TinyRun {
 protected:
  static void train(const GrpoConfig& config) { GrpoTrainer(config, "auto").run(); }
  static GrpoConfig config(const std::string& name, int64_t steps) {
    GrpoConfig config = grpo(name, steps);
    config.data.train_batch_size = 3;
    config.rollout.n = 2;  // often equally good
    config.algorithm.filter_groups = {true, 4};
    return config;
  }
};

TEST_F(FilteredRun, UpdatesOnGroupsThatDiffer) {
  train(config("filtered", 4));
  bool sampled_again = false;
  int64_t batches = 0;
  for (const auto& line : metrics("filtered")) {
    const auto step = line.at("step").get<int64_t>();
    const auto used = line.at("train/num_gen_batches").get<int64_t>();
    sampled_again |= used > 1;
    batches += used;
    EXPECT_EQ(line.at("training/epoch"), static_cast<double>(batches * 3) / 12);
    std::map<uint64_t, std::vector<double>> advantages;  // of groups, by prompt
    for (const auto& caption :
         lines(folder_ / "filtered" / "rollouts" / fmt::format("step_{:06}.jsonl.zst", step)))
      advantages[caption.at("prompt_id")].push_back(caption.at("advantage"));
    EXPECT_EQ(std::ssize(advantages), 3 * used);
    const auto updated = std::count_if(advantages.begin(), advantages.end(), [](const auto& item) {
      return std::any_of(item.second.begin(), item.second.end(), [](double a) { return a != 0; });
    });
    EXPECT_EQ(line.at("train/num_groups"), updated);
    EXPECT_LE(updated, 3);
    if (used < 4) EXPECT_EQ(updated, 3);
  }
  EXPECT_TRUE(sampled_again);
}

TEST_F(FilteredRun, ResumesExactly) {
  train(config("whole", 4));
  train(config("parts", 2));
  train(config("parts", 4));
  expect_same_run("whole", "parts");
}

// Nothing differs when no question is ever answered right or wrong: the length term gives all the
// same.
TEST_F(FilteredRun, WithoutAnyDifferenceChangesNoWeight) {
  GrpoConfig config = this->config("flat", 1);
  config.reward.scale = 0;
  TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\nlength: {weight: 1}\n");
  load_config(folder.path() / "reward.yaml", {}, config.reward);
  train(config);
  const auto line = metrics("flat").at(0);
  EXPECT_EQ(line.at("train/num_groups"), 0);
  EXPECT_EQ(line.at("train/num_gen_batches"), 4);
  EXPECT_EQ(line.at("reward/length"), 1);
  EXPECT_EQ(line.at("critic/rewards/mean"), 1);
  const auto before = weights(path("captioner"));
  for (const auto& [name, tensor] : weights("flat", 1))
    EXPECT_TRUE(tensor.equal(before.at(name))) << name;
}

}  // namespace
}  // namespace caprl
