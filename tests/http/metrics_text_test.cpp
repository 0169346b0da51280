#include "caprl/http/metrics_text.h"

#include <gmock/gmock.h>

#include <cmath>

#include "support/metrics_parser.h"

namespace caprl {
namespace {

TEST(MetricsText, CountersAndGauges) {
  MetricsText text;
  text.counter("a_total", "How many.", 12);
  text.gauge("b", "How much.", -0.1);
  text.gauge("phase", "1 of now.", "name", {{"gen", 1}, {"reward", 0}});
  text.counter("c_total", "By status.", "status", {});
  EXPECT_EQ(text.take(),
            "# HELP a_total How many.\n# TYPE a_total counter\na_total 12\n"
            "# HELP b How much.\n# TYPE b gauge\nb -0.1\n"
            "# HELP phase 1 of now.\n# TYPE phase gauge\n"
            "phase{name=\"gen\"} 1\nphase{name=\"reward\"} 0\n"
            "# HELP c_total By status.\n# TYPE c_total counter\n");
}

TEST(MetricsText, WhateverTheTextsAndNumbers) {
  MetricsText text;
  text.gauge("a", "one\ntwo \\ \"three\"", "dir", {{"C:\\runs\n\"x\"", NAN}});
  text.gauge("b", "", INFINITY);
  text.gauge("c", "", -INFINITY);
  text.gauge("d", "", 1.0 / 3);
  text.gauge("e", "", 9007199254740991.0);
  text.gauge("f", "", 1e-300);
  const std::string written = text.take();
  EXPECT_THAT(written, testing::StartsWith("# HELP a one\\ntwo \\\\ \"three\"\n# TYPE a gauge\n"
                                           "a{dir=\"C:\\\\runs\\n\\\"x\\\"\"} NaN\n"));
  const auto samples = MetricsParser::parse(written);
  EXPECT_EQ(samples.at("b"), INFINITY);
  EXPECT_EQ(samples.at("c"), -INFINITY);
  EXPECT_EQ(samples.at("d"), 1.0 / 3);
  EXPECT_EQ(samples.at("e"), 9007199254740991.0);
  EXPECT_EQ(samples.at("f"), 1e-300);
}

TEST(MetricsText, Names) {
  EXPECT_EQ(metric_name("critic/rewards/mean"), "critic_rewards_mean");
  EXPECT_EQ(metric_name("a-b.c d:9é"), "a_b_c_d:9__");
}

}  // namespace
}  // namespace caprl
