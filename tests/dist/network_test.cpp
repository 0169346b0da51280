// Two hosts: network namespaces with a cable between them, which is slow, loses packets, or is cut.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>

#include "support/ranks.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TwoHosts : public testing::Test {
 protected:
  void SetUp() override {
    if (!run("ip netns add " + host(0)) || !run("ip netns add " + host(1)) ||
        !run("ip link add " + cable(0) + " netns " + host(0) + " type veth peer name " + cable(1) +
             " netns " + host(1)))
      GTEST_SKIP() << "network namespaces cannot be made here (root and iproute2)";
    for (const int h : {0, 1}) {
      ASSERT_TRUE(run_on(h, "ip addr add " + address(h) + "/24 dev " + cable(h)));
      ASSERT_TRUE(run_on(h, "ip link set " + cable(h) + " up"));
      ASSERT_TRUE(run_on(h, "ip link set lo up"));
    }
  }
  void TearDown() override {
    for (const int h : {0, 1}) run("ip netns del " + host(h));
  }

  static bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
  }
  bool run_on(int h, const std::string& command) const {
    return run("ip netns exec " + host(h) + " " + command);
  }

  std::string host(int h) const { return "caprl" + std::to_string(h) + "_" + id_; }
  std::string cable(int h) const { return "cbl" + std::to_string(h) + "_" + id_.substr(0, 8); }
  static std::string address(int h) { return "10.77.0." + std::to_string(h + 1); }

  /// Rank 0 on the one, rank 1 on the other.
  std::unique_ptr<Ranks> start(const std::string& scenario, int timeout_ms) const {
    const std::string command = "exec ip netns exec caprl${RANK}_" + id_ +
                                " " CAPRL_BIN_DIR "/dist_rank " + scenario + " " +
                                std::to_string(timeout_ms);
    return std::make_unique<Ranks>(folder_.path(), 2,
                                   std::vector<std::string>{"/bin/sh", "-c", command}, -1,
                                   Ranks::Variables{{"MASTER_ADDR", address(0)}});
  }

  std::string id_ = std::to_string(::getpid());
  TempFolder folder_;
};

TEST_F(TwoHosts, MeetAndWorkTogether) {
  for (const auto& result : start("collectives", 20000)->wait())
    EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(TwoHosts, WorkOverASlowLinkThatLosesPackets) {
  for (const int h : {0, 1})
    if (!run_on(h, "tc qdisc add dev " + cable(h) + " root netem delay 10ms loss 3%"))
      GTEST_SKIP() << "tc cannot slow a link down here (netem)";
  for (const auto& result : start("collectives", 60000)->wait())
    EXPECT_EQ(result.code, 0) << result.log;
}

TEST_F(TwoHosts, ACutEndsBothSides) {
  const auto ranks = start("barriers", 5000);
  ranks->wait_for_log(1, "begun");
  ASSERT_TRUE(run_on(1, "ip link set " + cable(1) + " down"));
  const auto results = ranks->wait();
  for (const auto& result : results) EXPECT_EQ(result.code, 1) << result.log;
  EXPECT_THAT(results[0].log, HasSubstr("rank"));
  EXPECT_THAT(results[1].log, HasSubstr("rank"));
}

}  // namespace
}  // namespace caprl
