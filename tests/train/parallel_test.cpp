// Several processes train as one does.
#include <gmock/gmock.h>

#include "caprl/core/config.h"
#include "caprl/models/parameters.h"
#include "support/ranks.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

class ParallelRun : public TinyRun {
 protected:
  /// Four images a step, in small buckets and several passes, in double.
  static GrpoConfig parallel(const std::string& name, int64_t stage) {
    GrpoConfig config = grpo(name, 4);
    config.policy.dtype = "float64";
    config.data.train_batch_size = 4;
    config.train.micro_tokens = 1;  // every group its own pass
    config.parallel.zero_stage = stage;
    config.parallel.bucket_mb = 1;
    config.checkpoint.keep_last = 4;
    return config;
  }

  template <class Config>
  static std::vector<Ranks::Result> run(const Config& config, int size) {
    const std::string file = config.run.dir + ".yaml";
    write_file_atomic(file, config_to_yaml(config));
    const std::string command = std::is_same_v<Config, SftConfig> ? "sft" : "train";
    Ranks ranks(config.run.dir + ".logs", size,
                {CAPRL_BIN_DIR "/caprl", command, "--config", file});
    return ranks.wait();
  }

  template <class Config>
  static void expect_done(const Config& config, int size) {
    for (const auto& result : run(config, size)) ASSERT_EQ(result.code, 0) << result.log;
  }

  /// The largest difference of any weight, relative to the largest weight.
  static double difference(const std::string& one, const std::string& other, int64_t step) {
    return difference(weights(one, step), weights(other, step));
  }
  static double difference(const std::map<std::string, at::Tensor>& expected,
                           const std::map<std::string, at::Tensor>& got) {
    double difference = 0;
    for (const auto& [name, tensor] : expected)
      difference = std::max(
          difference, ((got.at(name) - tensor).abs().max() / tensor.abs().max().clamp_min(1e-300))
                          .template item<double>());
    return difference;
  }

  static std::vector<std::string> sampled(const std::string& run, int64_t step) {
    std::vector<std::string> captions;
    for (const auto& line :
         lines(folder_ / run / "rollouts" / fmt::format("step_{:06}.jsonl.zst", step)))
      captions.push_back(line.at("response_ids").dump() + line.at("reward").dump());
    return captions;
  }
};

TEST_F(ParallelRun, TrainsAsOneProcessDoes) {
  expect_done(parallel("one", 0), 1);
  for (const int64_t stage : {0, 1, 2})
    for (const int size : {2, 4}) {
      const std::string name = fmt::format("zero{}x{}", stage, size);
      expect_done(parallel(name, stage), size);
      EXPECT_EQ(sampled("one", 4), sampled(name, 4)) << name;
      EXPECT_LT(difference("one", name, 4), 1e-11) << name;
      const auto expected = metrics("one"), got = metrics(name);
      ASSERT_EQ(expected.size(), got.size());
      for (size_t i = 0; i < got.size(); ++i)
        for (const char* key : {"actor/grad_norm", "actor/pg_loss", "actor/entropy",
                                "critic/rewards/mean", "response_length/mean"})
          EXPECT_NEAR(got[i].at(key), expected[i].at(key), 1e-12) << name << ' ' << key;
    }
}

TEST_F(ParallelRun, GoesOnWithAnotherNumberOfProcesses) {
  GrpoConfig config = parallel("changing", 2);
  config.policy.dtype = "bfloat16";  // with master weights
  GrpoConfig whole = config;
  whole.run.dir = path("constant");
  expect_done(whole, 2);
  config.train.total_steps = 2;
  expect_done(config, 4);
  config.train.total_steps = 3;
  config.parallel.zero_stage = 1;
  expect_done(config, 2);
  config.train.total_steps = 4;
  config.parallel.zero_stage = 0;
  expect_done(config, 1);
  EXPECT_EQ(sampled("constant", 3).size(), sampled("changing", 3).size());
  EXPECT_EQ(metrics("changing").size(), metrics("constant").size());
  EXPECT_LT(difference("constant", "changing", 4), 0.02);  // bfloat16
}

TEST_F(ParallelRun, ResumesExactly) {
  GrpoConfig config = parallel("exact", 2);
  expect_done(config, 2);
  config.run.dir = path("resumed");
  config.train.total_steps = 2;
  expect_done(config, 2);
  config.train.total_steps = 4;
  expect_done(config, 2);
  EXPECT_EQ(contents("exact"), contents("resumed"));
}

TEST_F(ParallelRun, SupervisedTrainingToo) {
  SftConfig config = sft("sft_one", "captioner", 3);
  config.policy.dtype = "float64";
  config.train.micro_tokens = 1;
  config.parallel.bucket_mb = 1;
  expect_done(config, 1);
  config.run.dir = path("sft_two");
  expect_done(config, 2);
  EXPECT_LT(difference("sft_one", "sft_two", 3), 1e-11);
}

TEST_F(ParallelRun, FrozenModelsMayBeHeldInParts) {
  GrpoConfig config = parallel("held_whole", 2);
  config.algorithm.use_kl_loss = true;
  config.train.ppo_mini_batches = 2;
  config.eval.freq = 2;
  expect_done(config, 2);
  config.run.dir = path("held_in_parts");
  config.reference.shard_layers = 1;
  config.reward.answerer.shard_layers = 2;
  expect_done(config, 2);
  expect_same_run("held_whole", "held_in_parts");
}

/// Only adapters have gradients, state and shards.
TEST_F(ParallelRun, AdaptersToo) {
  const auto adapted = [](const std::string& name, int64_t stage) {
    GrpoConfig config = parallel(name, stage);
    config.policy.lora.rank = 8;
    config.reference.dtype = "float64";
    config.algorithm.use_kl_loss = true;
    return config;
  };
  expect_done(adapted("adapters_one", 0), 1);
  for (const int64_t stage : {1, 2}) {
    const std::string name = fmt::format("adapters_zero{}", stage);
    expect_done(adapted(name, stage), 2);
    EXPECT_EQ(sampled("adapters_one", 4), sampled(name, 4)) << name;
    EXPECT_LT(difference(adapter("adapters_one", 4), adapter(name, 4)), 1e-10) << name;
  }
}

TEST_F(ParallelRun, RefusesABatchThatItCannotDivide) {
  GrpoConfig config = parallel("refused", 2);
  config.data.train_batch_size = 5;
  for (const auto& result : run(config, 2)) {
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.log,
                testing::HasSubstr("'data.train_batch_size': expected a multiple of the "
                                   "2 processes, got 5"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "refused" / "checkpoints"));
}

}  // namespace
}  // namespace caprl
