// GRPO runs from end to end.
#include "caprl/train/grpo_trainer.h"

#include <cmath>
#include <set>

#include "caprl/core/error.h"
#include "caprl/generation/prompts.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class Grpo : public TinyRun {
 protected:
  static void train(const GrpoConfig& config, const std::string& resume = "auto") {
    GrpoTrainer(config, resume).run();
  }
  /// 5 steps in one go, and 2 then 3 by another trainer.
  static void expect_exact_resume(const GrpoConfig& config) {
    GrpoConfig whole = config, parts = config;
    whole.run.dir += "_whole";
    parts.run.dir += "_parts";
    train(whole);
    parts.train.total_steps = 2;
    train(parts);
    parts.train.total_steps = 5;
    train(parts);
    const std::string name = std::filesystem::path(config.run.dir).filename();
    // The first part evaluates and saves its last step, which step 2 does in the whole run as well.
    expect_same_run(name + "_whole", name + "_parts");
  }
};

TEST_F(Grpo, ResumesExactly) {
  GrpoConfig config = grpo("exact", 5);
  config.eval.freq = 2;
  expect_exact_resume(config);
}

TEST_F(Grpo, ResumesExactlyInBfloat16WithReferenceAndSeveralUpdatesAStep) {
  GrpoConfig config = grpo("exact_bf16", 5);
  config.policy.dtype = "bfloat16";
  config.algorithm.use_kl_loss = true;
  config.train.ppo_epochs = 2;
  config.train.ppo_mini_batches = 2;
  expect_exact_resume(config);
  for (const auto& [name, tensor] : weights("exact_bf16_whole", 5))
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name << ": the source model's dtype";
}

TEST_F(Grpo, ResumesExactlyWithTheSamplingAnswerer) {
  GrpoConfig config = grpo("exact_sample", 5);
  config.reward.answerer.mode = AnswerMode::kSample;
  config.reward.draw = QuestionDraw::kWithReplacement;
  config.reward.shuffle_choices = true;
  expect_exact_resume(config);
}

TEST_F(Grpo, FirstUpdateIsOnPolicy) {
  GrpoConfig config = grpo("first", 1);
  config.algorithm.use_kl_loss = true;
  config.train.micro_tokens = 60;  // several passes
  train(config);
  const auto line = metrics("first").at(0);
  EXPECT_EQ(line.at("actor/kl_loss"), 0.0);
  EXPECT_EQ(line.at("actor/ppo_kl"), 0.0);
  EXPECT_EQ(line.at("actor/pg_clipfrac"), 0.0);
  EXPECT_GT(line.at("actor/grad_norm"), 0.0);
  EXPECT_LT(line.at("training/rollout_probs_diff_max"), 1e-5);
}

TEST_F(Grpo, RatioIsOneWhileWeightsStand) {
  GrpoConfig config = grpo("still", 2);
  config.optimizer.lr = 0;
  config.algorithm.use_kl_loss = true;
  config.train.ppo_epochs = 2;  // against log-probabilities scored before the first update
  train(config);
  for (const auto& line : metrics("still")) {
    EXPECT_EQ(line.at("actor/kl_loss"), 0.0);
    EXPECT_EQ(line.at("actor/ppo_kl"), 0.0);
    EXPECT_EQ(line.at("actor/pg_clipfrac"), 0.0);
  }
}

TEST_F(Grpo, SecondUpdateIsNotOnPolicy) {
  GrpoConfig config = grpo("second", 1);
  config.algorithm.use_kl_loss = true;
  config.train.ppo_epochs = 3;
  config.optimizer.lr = 1e-2;
  train(config);
  const auto line = metrics("second").at(0);
  EXPECT_NE(line.at("actor/kl_loss"), 0.0);
  EXPECT_NE(line.at("actor/ppo_kl"), 0.0);
  EXPECT_GT(line.at("actor/pg_clipfrac"), 0.0);
}

TEST_F(Grpo, MicrobatchesChangeNothingButRounding) {
  GrpoConfig config = grpo("micro_large", 1);
  train(config);
  config.run.dir = path("micro_small");
  config.train.micro_tokens = 1;
  config.train.loss_chunk_tokens = 3;
  train(config);
  const auto large = metrics("micro_large").at(0), small = metrics("micro_small").at(0);
  for (const char* name : {"actor/pg_loss", "actor/grad_norm", "actor/entropy"})
    EXPECT_NEAR(large.at(name).get<double>(), small.at(name).get<double>(), 1e-6) << name;
}

/// Of a caption's tokens, whose ratios all are 1 in the first update, both levels make the same.
TEST_F(Grpo, CaptionsRatioIsThatOfItsTokensWhileOnPolicy) {
  GrpoConfig config = grpo("level_token", 1);
  config.algorithm.loss_agg_mode = LossAggregation::kSeqMeanTokenMean;
  train(config);
  config.run.dir = path("level_sequence");
  config.algorithm.importance_sampling_level = ImportanceSamplingLevel::kSequence;
  train(config);
  const auto token = metrics("level_token").at(0), sequence = metrics("level_sequence").at(0);
  for (const char* name : {"actor/pg_loss", "actor/grad_norm", "actor/entropy"})
    EXPECT_NEAR(token.at(name).get<double>(), sequence.at(name).get<double>(), 1e-6) << name;

  config.run.dir = path("level_sequence_again");
  config.train.ppo_epochs = 3;
  config.train.micro_tokens = 60;
  config.optimizer.lr = 1e-2;
  train(config);
  const auto again = metrics("level_sequence_again").at(0);
  EXPECT_NE(again.at("actor/ppo_kl"), 0.0);
  EXPECT_GT(again.at("actor/pg_clipfrac"), 0.0);
}

TEST_F(Grpo, NothingToCompareChangesNothing) {
  GrpoConfig config = grpo("equal", 2);
  config.rollout.temperature = 1e-3;  // all captions of a group are the same
  config.optimizer.weight_decay = 0;
  train(config);
  for (const auto& line : metrics("equal")) {
    EXPECT_EQ(line.at("frac_reward_zero_std"), 1.0);
    EXPECT_EQ(line.at("actor/grad_norm"), 0.0);
  }
  const auto before = weights(folder_ / "captioner"), after = weights("equal", 2);
  for (const auto& [name, tensor] : before) EXPECT_TRUE(at::equal(tensor, after.at(name))) << name;
}

enum class Part { kVision, kMerger, kLanguage };
Part part_of(const std::string& name) {
  if (name.find("visual.merger") != std::string::npos) return Part::kMerger;
  return name.find("visual.") != std::string::npos ? Part::kVision : Part::kLanguage;
}

TEST_F(Grpo, TrainsThePartsThatAreAskedFor) {
  const std::map<TrainedParts, std::set<Part>> expected = {
      {TrainedParts::kAll, {Part::kVision, Part::kMerger, Part::kLanguage}},
      {TrainedParts::kLanguage, {Part::kLanguage}},
      {TrainedParts::kLanguageAndMerger, {Part::kMerger, Part::kLanguage}},
      {TrainedParts::kMerger, {Part::kMerger}}};
  const auto before = weights(folder_ / "captioner");
  for (const auto& [parts, trained] : expected) {
    GrpoConfig config = grpo(fmt::format("parts_{}", static_cast<int>(parts)), 2);
    config.policy.train = parts;
    train(config);
    const auto after = weights(std::filesystem::path(config.run.dir).filename(), 2);
    std::set<Part> changed;
    for (const auto& [name, tensor] : before)
      if (!at::equal(tensor, after.at(name))) changed.insert(part_of(name));
    EXPECT_EQ(changed, trained);
  }
}

TEST_F(Grpo, TruncatedCaptionsMayBeLeftOut) {
  GrpoConfig config = grpo("truncated", 1);
  config.rollout.response_length = 1;  // an untrained model does not stop at once
  config.train.mask_truncated_completions = true;
  train(config);
  const auto line = metrics("truncated").at(0);
  EXPECT_EQ(line.at("response_length/clip_ratio"), 1.0);
  EXPECT_EQ(line.at("actor/grad_norm"), 0.0);
}

TEST_F(Grpo, RolloutsTellHowRewardsCameAbout) {
  GrpoConfig config = grpo("rollouts", 1);
  train(config);
  const auto captions = lines(folder_ / "rollouts/rollouts/step_000001.jsonl.zst");
  ASSERT_EQ(captions.size(), 5u * 4u);
  double sum = 0;
  for (const auto& caption : captions) {
    int64_t right = 0;
    for (const auto& answer : caption.at("answers"))
      right += answer.at("given") == answer.at("right");
    EXPECT_EQ(caption.at("num_right"), right);
    EXPECT_EQ(caption.at("num_asked"), caption.at("answers").size());
    const double reward =
        config.reward.scale * static_cast<double>(right) / caption.at("num_asked").get<double>();
    EXPECT_EQ(caption.at("reward"), reward);
    EXPECT_EQ(caption.at("response_ids").size(), caption.at("logprobs").size());
    EXPECT_TRUE(std::filesystem::exists(caption.at("image").get<std::string>()));
    EXPECT_THAT(caption.at("row").get<std::string>(),
                testing::ContainsRegex("train.jsonl:[0-9]+$"));
    sum += reward;
  }
  EXPECT_NEAR(metrics("rollouts").at(0).at("critic/rewards/mean").get<double>(), sum / 20, 1e-12);
}

TEST_F(Grpo, RolloutsTellWhatWasAskedAndWhatEachTokenSays) {
  train(grpo("told", 1));
  const PromptBuilder prompts(path("captioner"), "", Model::load(path("captioner"), {})->traits(),
                              4096);
  std::map<std::string, nlohmann::json> rows;
  for (const auto& row : lines(folder_ / "world/train.jsonl")) rows[row.at("id")] = row;
  for (const auto& caption : lines(folder_ / "told/rollouts/step_000001.jsonl.zst")) {
    const std::string text = caption.at("caption");
    const std::vector<int64_t> ids = caption.at("response_ids");
    const std::vector<size_t> bytes = caption.at("token_bytes");
    ASSERT_EQ(bytes.size(), ids.size());
    size_t end = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      end += bytes[i];
      // Only a character that is not finished yet may follow: U+FFFD when decoded by itself.
      std::string known = prompts.text(std::span(ids).first(i + 1));
      while (known.size() > end && known.ends_with("\uFFFD")) known.resize(known.size() - 3);
      EXPECT_EQ(text.substr(0, end), known);
    }
    EXPECT_EQ(end, text.size());
    const auto& questions = rows.at(caption.at("id")).at("reward_model").at("ground_truth");
    for (const auto& answer : caption.at("answers")) {
      const auto& question = questions.at(answer.at("question").get<size_t>());
      EXPECT_THAT(answer.at("asked").get<std::string>(),
                  testing::StartsWith(question.at("question").get<std::string>() + "\nA) "));
      EXPECT_THAT(answer.at("labels").get<std::string>(), HasSubstr(answer.at("right")));
    }
  }
}

TEST_F(Grpo, SpreadIsTheMeanOfTheGroupsDeviations) {
  train(grpo("spread", 1));
  std::map<int64_t, std::vector<double>> groups;
  for (const auto& caption : lines(folder_ / "spread/rollouts/step_000001.jsonl.zst"))
    groups[caption.at("prompt_id")].push_back(caption.at("reward"));
  double sum = 0;
  for (const auto& [id, rewards] : groups) {
    double mean = 0, squares = 0;
    for (const double reward : rewards) mean += reward / 4;
    for (const double reward : rewards) squares += (reward - mean) * (reward - mean);
    sum += std::sqrt(squares / 3);
  }
  EXPECT_GT(sum, 0);
  EXPECT_NEAR(metrics("spread").at(0).at("reward_std").get<double>(), sum / 5, 1e-12);
}

TEST_F(Grpo, ShuffledRewardsAreThoseOfTheBatch) {
  GrpoConfig config = grpo("shuffled", 1);
  train(config);
  config.run.dir = path("control");
  config.reward.shuffle_rewards = true;
  train(config);
  const auto rewards = [](const std::string& run) {
    std::vector<double> values;
    for (const auto& line : lines(folder_ / run / "rollouts/step_000001.jsonl.zst"))
      values.push_back(line.at("reward"));
    return values;
  };
  EXPECT_NE(rewards("shuffled"), rewards("control"));
  EXPECT_THAT(rewards("control"), testing::UnorderedElementsAreArray(rewards("shuffled")));
}

TEST_F(Grpo, NeverRestartsARunSilently) {
  GrpoConfig config = grpo("folder", 4);
  train(config);
  EXPECT_THAT([&] { GrpoTrainer(config, "never"); },
              ThrowsMessage<InputError>(HasSubstr("already has checkpoints")));
  const std::string older = checkpoint("folder", 2);
  EXPECT_THAT([&] { GrpoTrainer(config, older); },
              ThrowsMessage<InputError>(
                  AllOf(HasSubstr("already has checkpoints up to step_000004"), HasSubstr(older))));
  const auto before = contents("folder");
  train(config);  // already done
  EXPECT_EQ(contents("folder"), before);
  config.run.dir = path("branch");
  train(config, older);
  EXPECT_EQ(contents("branch")["checkpoints/step_000004/model/model.safetensors"],
            before.at("checkpoints/step_000004/model/model.safetensors"));
}

TEST_F(Grpo, RefusesADamagedCheckpoint) {
  GrpoConfig config = grpo("damaged", 2);
  train(config);
  const auto file = checkpoint("damaged", 2) / "optimizer.safetensors";
  std::string bytes = read_file(file);
  bytes.back() ^= 1;
  write_file_atomic(file, bytes);
  config.train.total_steps = 3;
  EXPECT_THAT([&] { GrpoTrainer(config, "auto"); },
              ThrowsMessage<Error>(HasSubstr("optimizer.safetensors")));
}

TEST_F(Grpo, NonFiniteUpdatesAreSkippedAndThenStopTheRun) {
  std::filesystem::copy(path("captioner"), path("broken"));
  NamedTensors tensors;
  for (const auto& [name, tensor] : weights(folder_ / "captioner"))
    tensors.emplace_back(name, at::full_like(tensor, std::nan("")));
  write_safetensors(path("broken") + "/model.safetensors", tensors);

  GrpoConfig config = grpo("not_finite", 9);
  config.algorithm.use_kl_loss = true;
  config.reference.model = path("broken");  // so the captions are fine and the loss is not
  config.checkpoint.save_freq = 1;
  config.train.max_skipped_steps = 3;
  EXPECT_THAT([&] { train(config); },
              ThrowsMessage<Error>(AllOf(HasSubstr("step 3: 3 updates in a row"),
                                         HasSubstr("the last was of samples "))));
  EXPECT_EQ(metrics("not_finite").size(), 2u);
  EXPECT_EQ(metrics("not_finite").at(1).at("actor/skipped_updates"), 1.0);
  const auto before = weights(folder_ / "captioner"), after = weights("not_finite", 2);
  for (const auto& [name, tensor] : before) EXPECT_TRUE(at::equal(tensor, after.at(name))) << name;

  // A resumed run goes on counting.
  EXPECT_THAT([&] { train(config); },
              ThrowsMessage<Error>(HasSubstr("step 3: 3 updates in a row")));
  config.reference.model = path("captioner");
  train(config);
  EXPECT_EQ(metrics("not_finite").back().at("step"), 9);
}

TEST_F(Grpo, SaysWhatIsWrongBeforeItStarts) {
  GrpoConfig config = grpo("text_only", 1);
  config.policy.model = path("answerer");
  EXPECT_THAT([&] { GrpoTrainer(config, "auto"); },
              ThrowsMessage<InputError>(HasSubstr("expected a vision-language model")));
  config = grpo("batch", 1);
  config.train.ppo_mini_batches = 6;
  EXPECT_THAT([&] { GrpoTrainer(config, "auto"); },
              ThrowsMessage<InputError>(HasSubstr("must not exceed 'data.train_batch_size' (5)")));
  config = grpo("penalty", 1);
  config.rollout.repetition_penalty = 1.1;
  EXPECT_THAT([&] { GrpoTrainer(config, "auto"); },
              ThrowsMessage<InputError>(HasSubstr(
                  "'rollout.repetition_penalty' is 1.1; expected 1: training recomputes")));
  config = grpo("no_room", 1);
  config.rollout.limits.kv_cache_gb = 1e-6;
  EXPECT_THAT([&] { GrpoTrainer(config, "auto").run(); },
              ThrowsMessage<InputError>(HasSubstr("there is memory for")));
}

}  // namespace
}  // namespace caprl
