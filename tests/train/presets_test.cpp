// The published recipes, value by value, and what wins over them.
#include "caprl/train/presets.h"

#include <gmock/gmock.h>

#include <set>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/train/config.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

GrpoConfig load(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "train.yaml", yaml);
  GrpoConfig config;
  load_config(folder.path() / "train.yaml", overrides, config);
  return config;
}

TEST(Presets, ReleaseIsThePublishedServerAndLauncher) {
  const GrpoConfig config = load("preset: release\n");
  EXPECT_EQ(config.reward.draw, QuestionDraw::kWithReplacement);
  EXPECT_EQ(config.reward.qa_num, 8);
  EXPECT_FALSE(config.reward.shuffle_choices);
  EXPECT_EQ(config.reward.abstain_choice, "");
  EXPECT_FALSE(config.reward.same_draws_in_group);
  EXPECT_EQ(config.reward.scale, 2);
  EXPECT_TRUE(config.reward.terms.active().empty());
  EXPECT_EQ(config.reward.answerer.mode, AnswerMode::kSample);
  EXPECT_EQ(config.reward.answerer.temperature, 0.6);
  EXPECT_EQ(config.reward.answerer.max_new_tokens, 10);
  EXPECT_EQ(config.reward.answerer.assistant_prefix, "The answer is");
  EXPECT_EQ(config.algorithm.adv_estimator, AdvantageEstimator::kRloo);
  EXPECT_FALSE(config.algorithm.use_kl_loss);
  EXPECT_EQ(config.optimizer.lr, 1e-6);
  EXPECT_EQ(config.optimizer.lr_warmup_steps, 20);
  EXPECT_EQ(config.rollout.n, 8);
  EXPECT_EQ(config.data.train_batch_size, 128);
}

TEST(Presets, PaperShufflesComparesByGrpoAndHasAKlTerm) {
  const GrpoConfig config = load("preset: paper\n");
  EXPECT_TRUE(config.reward.shuffle_choices);
  EXPECT_EQ(config.reward.abstain_choice, "Can not answer based on the caption");
  EXPECT_EQ(config.reward.abstain_label, "F");
  EXPECT_EQ(config.reward.scale, 1);
  EXPECT_EQ(config.algorithm.adv_estimator, AdvantageEstimator::kGrpo);
  EXPECT_TRUE(config.algorithm.use_kl_loss);
}

TEST(Presets, CapRLPlusPlusHasTheLengthTerm) {
  const GrpoConfig config = load("preset: capRL++\n");
  const auto terms = config.reward.terms.active();
  ASSERT_EQ(terms.size(), 1u);
  EXPECT_EQ(terms[0]->name(), "length");
  EXPECT_EQ(terms[0]->weight(), 0.2);
  EXPECT_EQ(config.reward.scale, 1);
  EXPECT_EQ(config.optimizer.lr, 1e-5);
  EXPECT_EQ(config.algorithm.loss_agg_mode, LossAggregation::kSeqMeanTokenMean);
}

TEST(Presets, GiveWayToTheFileAndToOverrides) {
  const std::string yaml = "preset: release\nreward: {scale: 3}\nrollout: {n: 4}\n";
  EXPECT_EQ(load(yaml).reward.scale, 3);
  EXPECT_EQ(load(yaml).rollout.n, 4);
  const GrpoConfig other = load(yaml, {"rollout.n=5", "preset=paper"});
  EXPECT_EQ(other.preset, Preset::kPaper);
  EXPECT_EQ(other.reward.scale, 3);  // of the file
  EXPECT_EQ(other.rollout.n, 5);
  EXPECT_TRUE(other.reward.shuffle_choices);
}

TEST(Presets, NoneIsTheDefaults) {
  EXPECT_EQ(config_to_yaml(load("run: {seed: 1}\n")), config_to_yaml(GrpoConfig{}));
}

TEST(Presets, ResolvedConfigsReadBack) {
  for (const char* name : {"release", "paper", "capRL++"}) {
    const std::string yaml = config_to_yaml(load(std::string("preset: ") + name + "\n"));
    EXPECT_EQ(config_to_yaml(load(yaml)), yaml);
  }
}

TEST(Presets, AnUnknownOneIsRefused) {
  EXPECT_THAT(message_of<InputError>([] { load("preset: published\n"); }),
              testing::AllOf(testing::HasSubstr("train.yaml:1:9"), testing::HasSubstr("capRL++")));
}

// What a recipe gives a key is read as that key's type, and every row says where it is from.
TEST(Presets, HaveEachKeyOnceAndASourceForIt) {
  std::set<std::string_view> keys;
  for (const auto rows : {reward_presets(), training_presets()})
    for (const PresetRow& row : rows) {
      EXPECT_TRUE(keys.insert(row.key).second) << row.key;
      EXPECT_FALSE(row.source.empty()) << row.key;
    }
}

}  // namespace
}  // namespace caprl
