#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "caprl/http/client.h"
#include "scripted_server.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;

const CounterRng kRandom(7, RandomPurpose::kDemoWorld, {});
const HttpRetryConfig kFast{.max_attempts = 4, .first_delay_s = 0.02, .deadline_s = 10};

HttpResult retry_get(HttpClient& client, const std::string& url, const HttpRetryConfig& config) {
  return retry_http(config, kRandom, 1, [&](double left) { return client.get(url, left); });
}

TEST(HttpRetry, UntilThereIsAnAnswer) {
  ScriptedServer server(
      {scripted(503, "busy"), scripted(429, ""), scripted(502, ""), scripted(200, "done")});
  HttpClient client({});
  const HttpResult result = retry_get(client, server.url(), kFast);
  EXPECT_EQ(result.body, "done") << result.describe();
  EXPECT_EQ(result.attempts, 4);
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST(HttpRetry, GivesTheLastResult) {
  ScriptedServer server({scripted(504, "late")});
  HttpClient client({});
  const HttpResult result = retry_get(client, server.url(), kFast);
  EXPECT_EQ(result.status, 504);
  EXPECT_EQ(result.attempts, 4);
}

TEST(HttpRetry, NotWhatWouldHappenAgain) {
  ScriptedServer server({scripted(400, ""), scripted(500, ""), "nonsense"});
  HttpClient client({});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(retry_get(client, server.url(), kFast).attempts, 1);
}

TEST(HttpRetry, ConnectFailuresAndTimeouts) {
  HttpClient client({.timeout_s = 0.1});
  const HttpResult refused =
      retry_get(client, fmt::format("http://127.0.0.1:{}/", free_port()), kFast);
  EXPECT_EQ(refused.failure, HttpFailure::kConnect);
  EXPECT_EQ(refused.attempts, 4);
  ScriptedServer server({ScriptedServer::kSilence, scripted(200, "")});
  const HttpResult second = retry_get(client, server.url(), kFast);
  EXPECT_TRUE(second.ok()) << second.describe();
  EXPECT_EQ(second.attempts, 2);
}

TEST(HttpRetry, HonoursRetryAfter) {
  ScriptedServer server({scripted(503, "", "Retry-After: 1\r\n"), scripted(200, "")});
  HttpClient client({});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(retry_get(client, server.url(), kFast).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1s);
}

TEST(HttpRetry, KeepsTheDeadline) {
  HttpRetryConfig config = kFast;
  config.max_attempts = 1000;
  config.deadline_s = 0.3;
  ScriptedServer server({scripted(503, "", "Retry-After: 60\r\n"), ScriptedServer::kSilence});
  HttpClient client({});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(retry_get(client, server.url(), config).attempts, 1);
  EXPECT_EQ(retry_get(client, server.url(), config).failure, HttpFailure::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST(HttpRetry, LogsAttemptsForWhoAsks) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  spdlog::set_default_logger(logger);
  ScriptedServer server({scripted(503, "busy"), scripted(200, "done")});
  HttpClient client({});
  retry_get(client, server.url(), kFast);
  EXPECT_EQ(log.str(), "");
  logger->set_level(spdlog::level::debug);
  retry_get(client, server.url(), kFast);
  spdlog::set_default_logger(before);
  EXPECT_THAT(log.str(), HasSubstr("[debug] http: attempt 1 of 4: status 200: done"));
}

TEST(HttpRetry, WaitsAreAFunctionOfTheirNumber) {
  const HttpRetryConfig config{
      .max_attempts = 5, .first_delay_s = 0.04, .max_delay_s = 0.1, .deadline_s = 10};
  std::vector<std::chrono::steady_clock::time_point> times;
  retry_http(config, kRandom, 3, [&](double left) {
    EXPECT_LE(left, 10);
    times.push_back(std::chrono::steady_clock::now());
    return HttpResult{.failure = HttpFailure::kConnect, .message = "x"};
  });
  ASSERT_EQ(times.size(), 5u);
  const double longest[] = {0.04, 0.08, 0.1, 0.1};
  for (int i = 0; i < 4; ++i) {
    const double waited = std::chrono::duration<double>(times[i + 1] - times[i]).count();
    EXPECT_GE(waited, longest[i] * kRandom.uniform(3, i + 1));
    EXPECT_LE(waited, longest[i] * kRandom.uniform(3, i + 1) + 0.5);
  }
}

}  // namespace
}  // namespace caprl
