// Several real processes on this machine, over Gloo.
#include "caprl/dist/group.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "support/ranks.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using std::chrono::steady_clock;
using testing::AllOf;
using testing::HasSubstr;

class Processes : public testing::Test {
 protected:
  std::vector<Ranks::Result> run(const std::string& scenario, int size, int timeout_ms = 60000,
                                 int collective_timeout_ms = 60000, int started = -1) {
    Ranks ranks(folder_.path() / scenario, size,
                {CAPRL_BIN_DIR "/dist_rank", scenario, std::to_string(timeout_ms),
                 std::to_string(collective_timeout_ms)},
                started);
    return ranks.wait();
  }
  TempFolder folder_;
};

TEST_F(Processes, CollectivesGiveWhatTheyShould) {
  for (const int size : {1, 2, 3})
    for (const auto& result : run("collectives", size)) EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(Processes, FailTogetherWithTheReason) {
  for (const auto& result : run("throw", 3)) {
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.log, HasSubstr("the disk is on fire"));
  }
  for (const auto& result : run("first", 3)) {
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.log, HasSubstr("rank 0 is on fire"));
  }
}

TEST_F(Processes, BadInputOfOneIsBadInputOfAll) {
  const auto results = run("input", 2);
  EXPECT_THAT(results[0].log, AllOf(HasSubstr("rank 1 on "), HasSubstr("rows.jsonl:3: no image")));
  for (const auto& result : results) EXPECT_EQ(result.code, 2);
}

TEST_F(Processes, ARankThatDiesEndsAll) {
  const auto begin = steady_clock::now();
  const auto results = run("exit", 3);
  EXPECT_EQ(results[2].code, 9);
  for (const int r : {0, 1}) {
    EXPECT_EQ(results[r].code, 1);
    EXPECT_THAT(results[r].log,
                AllOf(HasSubstr("onnection "), HasSubstr("rank 2 on "), HasSubstr("(at step 1)")));
  }
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(Processes, AConnectionThatBreaksIsNoSilentEnd) {
  for (const auto& result : run("broken_pipe", 2)) EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(Processes, ARankThatIsSilentEndsTheOthers) {
  Ranks ranks(folder_.path(), 3, {CAPRL_BIN_DIR "/dist_rank", "stop", "5000"});
  ranks.wait_for_log(0, "has not been heard of");
  ranks.signal(2, SIGKILL);
  for (const auto& result : ranks.wait())
    if (result.signal == 0) {
      EXPECT_EQ(result.code, 1);
      EXPECT_THAT(result.log, AllOf(HasSubstr("rank 2 on "), HasSubstr("(at step 1)"),
                                    HasSubstr("has not been heard of for 5.0 s")));
    }
}

TEST_F(Processes, ARankThatDiesBeforeItIsConnectedEndsAll) {
  const auto results = run("dies_before_connecting", 3, 2000, 1'000'000);
  for (const int r : {0, 1}) {
    EXPECT_EQ(results[r].code, 1);
    EXPECT_THAT(results[r].log, HasSubstr("rank 2 on unknown host (at start)"));
  }
}

TEST_F(Processes, RankZeroIsWatchedTooWhereTheLauncherHoldsTheStore) {
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.port = 0;
  options.waitWorkers = false;
  const auto store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  Ranks ranks(folder_.path(), 2, {CAPRL_BIN_DIR "/dist_rank", "stop_first", "3000"}, -1,
              {{"MASTER_PORT", std::to_string(store->getPort())},
               {"TORCHELASTIC_USE_AGENT_STORE", "True"}});
  ranks.wait_for_log(1, "has not been heard of");
  ranks.signal(0, SIGKILL);
  const auto results = ranks.wait();
  EXPECT_EQ(results[1].code, 1);
  EXPECT_THAT(results[1].log, AllOf(HasSubstr("rank 0 on "), HasSubstr("(at step 1)")));
}

TEST_F(Processes, ACollectiveThatOneNeverReachesNamesIt) {
  const auto results = run("stuck", 2, 60000, 2000);
  for (const auto& result : results) EXPECT_EQ(result.code, 1) << result.log;
  EXPECT_THAT(results[0].log, HasSubstr("gather of rank 0"));
  EXPECT_THAT(results[1].log, AllOf(HasSubstr("behind it: rank 1 on "), HasSubstr("(at step 1)")));
}

TEST_F(Processes, ARankThatHangsEndsAll) {
  // Long before the collective that the others wait in would have ended by itself.
  for (const auto& [scenario, bad] : {std::pair("stuck", 2), std::pair("stuck_first", 0)}) {
    const auto begin = steady_clock::now();
    for (const auto& result : run(scenario, 3, 5000, 1'000'000)) {
      EXPECT_EQ(result.code, 1);
      EXPECT_THAT(result.log, AllOf(HasSubstr("rank " + std::to_string(bad) + " on "),
                                    HasSubstr("(at step 1) has done nothing for 5.0 s")));
    }
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(30));
  }
}

TEST_F(Processes, ARankThatIsSlowDoesNot) {
  for (const auto& result : run("busy", 3, 5000)) EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(Processes, ARunThatIsSuspendedGoesOn) {
  using std::chrono::milliseconds;
  Ranks ranks(folder_.path(), 3, {CAPRL_BIN_DIR "/dist_rank", "busy", "5000", "60000"});
  ranks.wait_for_log(2, "begun");
  for (int r = 0; r < 3; ++r) ranks.signal(r, SIGSTOP);
  std::this_thread::sleep_for(milliseconds(11000));  // longer than the store may be silent
  for (int r = 0; r < 3; ++r) {
    ranks.signal(r, SIGCONT);
    std::this_thread::sleep_for(milliseconds(400));  // the first hears nothing new of the others
  }
  for (const auto& result : ranks.wait()) EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(Processes, SayWhoCannotBeReached) {
  const auto results = run("alone", 2, 1000, 1000, 1);
  EXPECT_EQ(results[0].code, 1);
  EXPECT_THAT(results[0].log, HasSubstr("rank 0 of 2: within 1.0 s the ranks 1 have not come"));
}

TEST(Group, OfOneProcessIsTheIdentity) {
  const Group group;
  at::Tensor values = at::arange(4, at::kFloat), part = at::zeros({4});
  const at::Tensor before = values.clone();
  group.all_reduce(values).wait();
  group.broadcast(values).wait();
  EXPECT_TRUE(values.equal(before));
  group.reduce_scatter(part, values).wait();
  EXPECT_TRUE(part.equal(before));
  part.zero_();
  group.all_gather(part, values).wait();
  EXPECT_TRUE(part.equal(before));
  EXPECT_THAT(group.gather_bytes("mine"), testing::ElementsAre("mine"));
}

}  // namespace
}  // namespace caprl
