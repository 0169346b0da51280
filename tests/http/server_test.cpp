#include "caprl/http/server.h"

#include <atomic>
#include <cstdlib>

#include "support.h"

namespace caprl {
namespace {

using namespace test;

TEST(HttpServer, AnswersInTheHandler) {
  HttpServer server({}, echo_routes());
  RawClient client(server.port());
  const RawAnswer answer = client.exchange(post("/echo", "{\"a\": 1}"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{\"a\": 1}");
  EXPECT_EQ(client.exchange(get("/health")).body, "{}");  // on the same connection
  EXPECT_EQ(server.url(), fmt::format("http://127.0.0.1:{}", server.port()));
}

TEST(HttpServer, GivesTheHandlerWhatCame) {
  Held held;
  HttpServer server({}, {{"POST", "/a b", held.handler()}});
  RawClient client(server.port());
  client.send(post("/a%20b?q=1", "body"));
  auto [request, responder] = held.take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a b");
  EXPECT_EQ(request.content_type, "application/json");
  EXPECT_EQ(request.body, "body");
  responder.answer(
      {.status = 202, .body = "x", .content_type = "text/plain", .headers = {{"X-A", "b"}}});
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(answer.head, HasSubstr("X-A: b\r\n"));
}

TEST(HttpServer, AnswersLaterAndOutOfOrder) {
  Held held;
  HttpServer server({}, {{"POST", "/", held.handler()}});
  RawClient first(server.port()), second(server.port());
  first.send(post("/", "1"));
  auto one = held.take();
  second.send(post("/", "2"));
  auto two = held.take();
  EXPECT_EQ(server.counters().requests_in_flight, 2);
  EXPECT_TRUE(two.second.answer({.body = two.first.body}));
  EXPECT_EQ(second.read_answer().body, "2");
  EXPECT_FALSE(one.second.client_gone());
  EXPECT_TRUE(one.second.answer({.body = one.first.body}));
  EXPECT_EQ(first.read_answer().body, "1");
  EXPECT_EQ(server.counters().requests_in_flight, 0);
  EXPECT_THROW(one.second.answer({}), Error);
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  HttpServer server({}, echo_routes());
  RawClient client(server.port());
  client.send(post("/echo", "1") + get("/none") + post("/echo", "3"));
  EXPECT_EQ(client.read_answer().body, "1");
  EXPECT_EQ(client.read_answer().status, 404);
  EXPECT_EQ(client.read_answer().body, "3");
}

TEST(HttpServer, TakesChunksAndLargeBodies) {
  HttpServer server({.max_body_mb = 3}, echo_routes());
  RawClient client(server.port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(client.exchange(head + "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").body, "abcdefg");
  const std::string large(3 << 20, 'x');
  EXPECT_TRUE(client.exchange(post("/echo", large)).body == large);
  const std::string chunk = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", large.size(), large);
  EXPECT_TRUE(client.exchange(head + chunk).body == large);
  EXPECT_TRUE(eventually([&] { return server.counters().body_bytes_sent == 7 + 2 * (3 << 20); }));
  EXPECT_EQ(server.counters().body_bytes_received, 7 + 2 * (3 << 20));
}

TEST(HttpServer, SpeaksHttp10) {
  HttpServer server({}, echo_routes());
  RawClient client(server.port());
  EXPECT_EQ(client.exchange("GET /health HTTP/1.0\r\n\r\n").body, "{}");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, ExpectsAndContinues) {
  HttpServer server({}, echo_routes());
  RawClient client(server.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  EXPECT_EQ(client.exchange("ok").body, "ok");
}

TEST(HttpServer, AnUnansweredRequestIsAnError) {
  Held held;
  HttpServer server({}, {{"GET", "/lost", [](HttpRequest&&, HttpResponder&&) {}},
                         {"GET", "/later", held.handler()}});
  RawClient client(server.port());
  expect_refusal(client.exchange(get("/lost")), 500, "given up without an answer");
  client.send(get("/later"));
  held.take();
  expect_refusal(client.read_answer(), 500, "given up without an answer");
}

TEST(HttpServer, ExceptionsOfHandlersAreAnswers) {
  const auto throws = [](HttpRequest&& request, HttpResponder responder) {
    if (request.body == "input") throw InputError("row 3: expected a number");
    if (request.body == "other") throw std::runtime_error("a secret of the server");
    responder.answer({.body = "first"});
    throw InputError("too late");
  };
  HttpServer server({}, {{"POST", "/", throws}});
  RawClient client(server.port());
  expect_refusal(client.exchange(post("/", "input")), 400, "row 3: expected a number");
  const RawAnswer other = client.exchange(post("/", "other"));
  expect_refusal(other, 500, "the request failed");
  EXPECT_THAT(other.body, testing::Not(HasSubstr("secret")));
  EXPECT_EQ(client.exchange(post("/", "answered")).body, "first");
}

TEST(HttpServer, AnswersToClientsThatHaveGoneAreDropped) {
  Held held;
  HttpServer server({}, {{"POST", "/", held.handler()}});
  for (const bool killed : {false, true}) {
    RawClient client(server.port());
    client.send(post("/", "x"));
    HttpResponder responder = held.take_responder();
    killed ? client.reset() : client.close();
    EXPECT_TRUE(eventually([&] { return responder.client_gone(); }));
    EXPECT_FALSE(responder.answer({.body = "x"}));
  }
  EXPECT_TRUE(eventually([&] { return server.counters().connections_open == 0; }));
  EXPECT_EQ(server.counters().dropped_answers, 2);
  EXPECT_THAT(server.counters().answers, testing::IsEmpty());
}

TEST(HttpServer, ClientsThatGoWhileTheyAreAnsweredAreCounted) {
  HttpServer server({}, {{"GET", "/", [](HttpRequest&&, HttpResponder&& responder) {
                            responder.answer({.body = std::string(20 << 20, 'x')});
                          }}});
  RawClient client(server.port());
  client.send(get("/"));
  EXPECT_TRUE(eventually([&] { return client.can_read(); }));
  client.reset();
  EXPECT_TRUE(eventually([&] { return server.counters().dropped_answers == 1; }));
  EXPECT_EQ(server.counters().body_bytes_sent, 0);
}

TEST(HttpServer, ShortBodiesAreNotHandled) {
  std::atomic<int> handled = 0;
  HttpServer server({}, {{"POST", "/", [&](HttpRequest&&, HttpResponder&&) { ++handled; }}});
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  client.close();
  EXPECT_TRUE(eventually([&] {
    return server.counters().connections_accepted == 1 && server.counters().connections_open == 0;
  }));
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(server.counters().dropped_answers, 0);
}

TEST(HttpServer, SaysWhereItCannotListen) {
  HttpServer server({}, echo_routes());
  EXPECT_EQ(input_error([&] { HttpServer({.port = server.port()}, {}); }),
            fmt::format("port: expected one that is free, got 127.0.0.1:{}, which "
                        "another program is listening on",
                        server.port()));
  EXPECT_THAT(input_error([] { HttpServer({.host = "192.0.2.1"}, {}); }),
              HasSubstr("host: expected an address of this machine, got 192.0.2.1"));
  EXPECT_THAT(input_error([] { HttpServer({.host = "no such host"}, {}); }),
              HasSubstr("host: expected a name or an address"));
  EXPECT_THAT(input_error([] { HttpServer({.token_env = "CAPRL_TEST_TOKEN"}, {}); }),
              HasSubstr("token_env"));
}

TEST(HttpServer, AsksForTheToken) {
  ::setenv("CAPRL_TEST_TOKEN", "s3cret", 1);
  HttpServer server({.token_env = "CAPRL_TEST_TOKEN"}, echo_routes());
  ::unsetenv("CAPRL_TEST_TOKEN");
  RawClient client(server.port());
  EXPECT_EQ(client.exchange(post("/echo", "x", "Authorization: Bearer s3cret\r\n")).body, "x");
  EXPECT_EQ(client.exchange(get("/health")).status, 200);  // open
  const RawAnswer none = client.exchange(get("/echo"));
  expect_refusal(none, 401, "got none");
  EXPECT_THAT(none.head, HasSubstr("WWW-Authenticate: Bearer\r\n"));
  expect_refusal(client.exchange(get("/unknown")), 401, "got none");
  expect_refusal(client.exchange(get("/echo", "Authorization: Bearer s3creT\r\n")), 401,
                 "is not the right one");
  // Before the body has come.
  expect_refusal(client.exchange("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"),
                 401, "got none");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(server.counters().answers.at(401), 4);
  EXPECT_EQ(server.counters().body_bytes_received, 1);
}

}  // namespace
}  // namespace caprl
