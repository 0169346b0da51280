// Runs of several processes that die, are told to stop, or find damage.
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/config.h"
#include "caprl/core/error.h"
#include "support/ranks.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Seconds = std::chrono::duration<double>;

/// Every n-th of what could be tried; all of it with CAPRL_TEST_THOROUGH=1.
int stride(int otherwise) { return std::getenv("CAPRL_TEST_THOROUGH") ? 1 : otherwise; }

class FailingRun : public TinyRun {
 protected:
  static GrpoConfig small(const std::string& name, int64_t steps) {
    GrpoConfig config = grpo(name, steps);
    config.data.train_batch_size = 4;
    config.rollout.n = 2;
    config.parallel.bucket_mb = 1;
    config.parallel.timeout_s = 10;
    config.checkpoint.save_freq = 1;
    return config;
  }

  static std::unique_ptr<Ranks> start(const GrpoConfig& config, int size,
                                      const std::string& resume = "auto",
                                      Ranks::Variables variables = {}) {
    const std::string file = config.run.dir + ".yaml";
    write_file_atomic(file, config_to_yaml(config));
    return std::make_unique<Ranks>(config.run.dir + ".logs", size,
                                   std::vector<std::string>{CAPRL_BIN_DIR "/caprl", "train",
                                                            "--config", file, "--resume", resume},
                                   -1, std::move(variables));
  }

  static void finish(const GrpoConfig& config, int size, const std::string& resume = "auto") {
    for (const auto& result : start(config, size, resume)->wait())
      ASSERT_EQ(result.code, 0) << result.log;
  }

  static std::vector<std::string> lines_of(const fs::path& file) {
    std::vector<std::string> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  static std::string weights_hash(const std::string& run, int64_t step) {
    return hash_file(checkpoint(run, step) / "model" / "model.safetensors");
  }

  /// A run folder as it was.
  static void restore(const std::string& from, const std::string& to) {
    fs::remove_all(path(to));
    fs::copy(path(from), path(to), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
};

TEST_F(FailingRun, KilledAtAnyCallOfASaveGoesOnToTheSameBytes) {
  finish(small("begun", 1), 2);
  restore("begun", "whole");
  const fs::path log = path("calls");
  GrpoConfig config = small("whole", 3);
  int kills = 0;
  const auto variables = [&](const std::string& run, int rank, int at) {
    return Ranks::Variables{{"LD_PRELOAD", CAPRL_LIB_DIR "/libcaprl_die_at_call.so"},
                            {"DIE_UNDER", path(run) + "/checkpoints"},
                            {"DIE_RANK", std::to_string(rank)},
                            {"DIE_AT", std::to_string(at)},
                            {"DIE_LOG", log.string()}};
  };
  std::vector<int> calls;
  for (const int rank : {0, 1}) {
    fs::remove(log);
    restore("begun", "whole");
    for (const auto& result : start(config, 2, "auto", variables("whole", rank, -1))->wait())
      ASSERT_EQ(result.code, 0) << result.log;
    calls.push_back(static_cast<int>(lines_of(log).size()));
  }
  EXPECT_GE(calls[0], 40);
  EXPECT_GE(calls[1], 4);

  config.run.dir = path("killed");
  for (const int rank : {0, 1})
    for (int at = rank; at < calls[rank]; at += rank == 0 ? stride(11) : stride(3)) {
      SCOPED_TRACE(fmt::format("rank {} at call {} of {}", rank, at, calls[rank]));
      restore("begun", "killed");
      const auto results = start(config, 2, "auto", variables("killed", rank, at))->wait();
      ASSERT_EQ(results[rank].signal, SIGKILL);
      ASSERT_EQ(results[1 - rank].code, 1) << results[1 - rank].log;
      ++kills;
      finish(config, 2);
      expect_same_run("whole", "killed");
    }
  std::cout << "killed at " << kills << " of " << calls[0] + calls[1] << " calls\n";
}

TEST_F(FailingRun, ARankKilledAtAnyMomentEndsAll) {
  std::mt19937 random(7);
  const int rounds = std::getenv("CAPRL_TEST_THOROUGH") ? 50 : 4;
  double longest = 0;
  for (int round = 0; round < rounds; ++round) {
    const GrpoConfig config = small("random", 100000);
    fs::remove_all(config.run.dir);
    const auto ranks = start(config, 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 4000));
    const int victim = static_cast<int>(random() % 4);
    ranks->signal(victim, SIGKILL);
    const auto begin = std::chrono::steady_clock::now();
    const auto results = ranks->wait();
    longest = std::max(longest, Seconds(std::chrono::steady_clock::now() - begin).count());
    for (int r = 0; r < 4; ++r) {
      if (r == victim) continue;
      EXPECT_EQ(results[r].code, 1) << "signal " << results[r].signal << "\n" << results[r].log;
      EXPECT_THAT(results[r].log, HasSubstr("rank")) << r;
    }
    for (const auto& entry : list_checkpoints(path("random/checkpoints")))
      EXPECT_EQ(entry.damage, "");
  }
  if (rounds > 4) {
    EXPECT_LT(longest, 20);
  }
  std::cout << "the last rank ended " << longest << " s after the kill at the latest\n";
}

TEST_F(FailingRun, ToldToStopSavesAndSaysSo) {
  GrpoConfig config = small("stopped", 100000);
  config.checkpoint.save_freq = 100000;
  const auto ranks = start(config, 2);
  const fs::path written = path("stopped/metrics.jsonl");
  ranks->wait_until([&] { return fs::exists(written) && fs::file_size(written) > 0; });
  ranks->signal(1, SIGTERM);
  const auto results = ranks->wait();
  for (const auto& result : results) {
    EXPECT_EQ(result.code, 3) << result.log;
    EXPECT_THAT(result.log, HasSubstr("stopped by signal 15 after step "));
  }
  const auto saved = list_checkpoints(path("stopped/checkpoints"));
  ASSERT_EQ(saved.size(), 1u);
  // Goes on, alone, to the bytes of a run that was never stopped.
  config.train.total_steps = saved[0].step + 1;
  finish(config, 2);
  GrpoConfig whole = config;
  whole.run.dir = path("never_stopped");
  finish(whole, 2);
  EXPECT_EQ(weights_hash("stopped", saved[0].step + 1),
            weights_hash("never_stopped", saved[0].step + 1));
}

TEST_F(FailingRun, DamageIsAlwaysFoundAndPassedOverOnlyWhenTold) {
  finish(small("sound", 2), 2);
  GrpoConfig config = small("damaged", 2);
  std::mt19937_64 random(3);
  std::vector<fs::path> files;
  restore("sound", "damaged");
  const fs::path newest = path("damaged/checkpoints/step_000002");
  for (const auto& entry : fs::recursive_directory_iterator(newest))
    if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
  ASSERT_GE(files.size(), 5u);
  for (int place = 0; place < 200; ++place) {
    const fs::path& file = files[random() % files.size()];
    const auto offset = static_cast<std::streamoff>(random() % fs::file_size(file));
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(offset);
    const char before = static_cast<char>(stream.get());
    const auto put = [&](char byte) {
      stream.seekp(offset);
      stream.put(byte);
      stream.flush();
    };
    put(static_cast<char>(before ^ static_cast<char>(1u << random() % 8)));
    EXPECT_THROW(verify_checkpoint(newest), Error) << file << " at " << offset;
    put(before);
  }
  EXPECT_NO_THROW(verify_checkpoint(newest));

  config.train.total_steps = 3;
  std::fstream(newest / "optimizer-00002-of-00002.safetensors",
               std::ios::in | std::ios::out | std::ios::binary)
          .seekp(1000)
      << '!';
  for (const auto& result : start(config, 2)->wait()) {
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.log, HasSubstr("optimizer-00002-of-00002.safetensors: damaged"));
  }
  finish(config, 2, "undamaged");
  EXPECT_TRUE(fs::exists(path("damaged/checkpoints/damaged_step_000002")));
  GrpoConfig whole = small("undamaged", 3);
  finish(whole, 2);
  EXPECT_EQ(weights_hash("damaged", 3), weights_hash("undamaged", 3));
}

TEST_F(FailingRun, RanksWithOtherConfigsOrWeightsAreNamed) {
  GrpoConfig config = small("other", 1);
  const std::string file = path("by_rank");
  for (const int rank : {0, 1}) {
    config.optimizer.lr = 1e-3 * (rank + 1);
    write_file_atomic(fmt::format("{}{}.yaml", file, rank), config_to_yaml(config));
  }
  Ranks ranks(path("other.logs"), 2,
              {"/bin/sh", "-c",
               fmt::format("exec {}/caprl-train --config {}$RANK.yaml", CAPRL_BIN_DIR, file)});
  for (const auto& result : ranks.wait()) {
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.log, HasSubstr("the configuration's hash: rank 1 has "));
  }
  EXPECT_FALSE(fs::exists(path("other")));
}

}  // namespace
}  // namespace caprl
