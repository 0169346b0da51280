#include "caprl/http/client.h"

#include "scripted_server.h"
#include "support.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using namespace test;

TEST(HttpClient, PostsAndGets) {
  HttpServer server({}, echo_routes());
  HttpClient client({});
  const HttpResult result = client.post(server.url() + "/echo", "{\"a\": 1}");
  EXPECT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(result.body, "{\"a\": 1}");
  EXPECT_EQ(client.get(server.url() + "/health").body, "{}");
  EXPECT_TRUE(client.post(server.url() + "/echo", {}).ok());
  const std::string large(4 << 20, 'x');
  EXPECT_EQ(client.post(server.url() + "/echo", large).body, large);
  EXPECT_EQ(server.counters().connections_accepted, 1);  // one for all
}

TEST(HttpClient, AnswersOfAnyStatusAreAnswers) {
  HttpServer server({.max_body_mb = 1}, echo_routes());
  HttpClient client({});
  const HttpResult missing = client.get(server.url() + "/none");
  EXPECT_FALSE(missing.ok());
  EXPECT_FALSE(missing.failure);
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.describe(), HasSubstr("status 404: {\"error\""));
  const HttpResult large = client.post(server.url() + "/echo", std::string(40 << 20, 'x'));
  EXPECT_EQ(large.status, 413) << large.describe();
}

TEST(HttpClient, SendsItsToken) {
  const TempFolder folder;
  const std::string file = folder.write("token", "s3cret\n");
  HttpServer server({.token_file = file}, echo_routes());
  EXPECT_EQ(HttpClient({.token_file = file}).post(server.url() + "/echo", "x").status, 200);
  EXPECT_EQ(HttpClient({}).post(server.url() + "/echo", "x").status, 401);
  EXPECT_THAT(input_error([] { HttpClient({.token_env = "CAPRL_TEST_TOKEN"}); }),
              HasSubstr("token_env"));
}

TEST(HttpClient, FindsNobody) {
  HttpClient client({});
  const std::string url = fmt::format("http://127.0.0.1:{}/", free_port());
  const HttpResult refused = client.get(url);
  EXPECT_EQ(refused.failure, HttpFailure::kConnect);
  EXPECT_THAT(refused.message, HasSubstr(url));
  const HttpResult unknown = client.get("http://no-such-host.invalid/");
  EXPECT_EQ(unknown.failure, HttpFailure::kResolve) << unknown.describe();
  EXPECT_THAT(unknown.describe(), HasSubstr("no-such-host.invalid"));
}

TEST(HttpClient, DoesNotWaitForEver) {
  ScriptedServer server({ScriptedServer::kSilence});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(HttpClient({.timeout_s = 0.2}).get(server.url()).failure, HttpFailure::kTimeout);
  EXPECT_EQ(HttpClient({}).get(server.url(), 0.2).failure, HttpFailure::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST(HttpClient, LimitsAnswers) {
  const std::string body(2 << 20, 'x');
  ScriptedServer server({scripted(200, body), "HTTP/1.1 200 OK\r\n\r\n" + body});
  HttpClient client({.max_response_mb = 1});
  for (int i = 0; i < 2; ++i) {  // announced, and not
    const HttpResult result = client.get(server.url());
    EXPECT_EQ(result.failure, HttpFailure::kTooLarge);
    EXPECT_THAT(result.message, HasSubstr("longer than 1 MB"));
    EXPECT_EQ(result.body, "");
  }
}

TEST(HttpClient, ConnectionsThatBreak) {
  ScriptedServer server({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "nonsense",
                         "HTTP/1.1 2"});
  HttpClient client({});
  for (int i = 0; i < 4; ++i) {
    const HttpResult result = client.get(server.url());
    EXPECT_EQ(result.failure, HttpFailure::kBroken) << i << ": " << result.describe();
    EXPECT_NE(result.message, "");
  }
  std::string url = server.url();
  const HttpResult not_tls = client.get(url.replace(0, 4, "https"));
  EXPECT_EQ(not_tls.failure, HttpFailure::kBroken) << not_tls.describe();
}

TEST(HttpClient, ReconnectsWhenTheServerHasClosedAnIdleConnection) {
  HttpServer server({.idle_timeout_s = 0.05}, echo_routes());
  HttpClient client({});
  EXPECT_TRUE(client.post(server.url() + "/echo", "x").ok());
  ASSERT_TRUE(eventually([&] { return server.counters().connections_open == 0; }));
  EXPECT_TRUE(client.post(server.url() + "/echo", "x").ok());
}

TEST(HttpClient, DoesNotFollowRedirects) {
  ScriptedServer server({scripted(302, "", "Location: http://127.0.0.1:1/\r\n")});
  EXPECT_EQ(HttpClient({}).get(server.url()).status, 302);
}

TEST(HttpClient, RefusesOtherUrls) {
  HttpClient client({});
  for (const char* url : {"", "file:///etc/passwd", "localhost:8000", "http://", "http://a b/"})
    EXPECT_THAT(input_error([&] { client.get(url); }), HasSubstr("expected a URL")) << url;
}

}  // namespace
}  // namespace caprl
