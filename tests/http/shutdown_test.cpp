#include <thread>

#include "support.h"

namespace caprl {
namespace {

using namespace test;

TEST(HttpShutdown, FinishesWhatWasAccepted) {
  Held held;
  HttpServer server({}, {{"POST", "/", held.handler()}});
  RawClient waiting(server.port()), uploading(server.port()), idle(server.port()),
      kept(server.port());
  waiting.send(post("/", "1"));
  HttpResponder responder = held.take_responder();
  uploading.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha");
  ASSERT_TRUE(eventually([&] { return server.counters().body_bytes_received == 3; }));
  ASSERT_TRUE(eventually([&] { return server.counters().connections_open == 4; }));

  std::thread stopping([&] { server.stop(); });
  // New connections and new requests on old ones are refused.
  EXPECT_TRUE(eventually([&] { return !RawClient(server.port()).connected(); }));
  const RawAnswer refused = kept.exchange(post("/", "2"));
  expect_refusal(refused, 503, "the server is stopping");
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_TRUE(kept.at_end());

  EXPECT_TRUE(responder.answer({.body = "one"}));
  const RawAnswer answer = waiting.read_answer();
  EXPECT_EQ(answer.body, "one");
  EXPECT_THAT(answer.head, HasSubstr("Connection: close\r\n"));
  uploading.send("lf");
  held.take_responder().answer({.body = "half"});
  EXPECT_EQ(uploading.read_answer().body, "half");
  stopping.join();
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(server.counters().connections_open, 0);
  server.stop();  // again: nothing
}

TEST(HttpShutdown, DoesNotWaitForEver) {
  Held held;
  std::optional<HttpServer> server(std::in_place, HttpServerConfig{.shutdown_timeout_s = 0.2},
                                   std::vector<HttpRoute>{{"POST", "/", held.handler()}});
  RawClient waiting(server->port()), uploading(server->port());
  waiting.send(post("/", "1"));
  HttpResponder responder = held.take_responder();
  uploading.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha");
  ASSERT_TRUE(eventually([&] { return server->counters().body_bytes_received == 3; }));
  const auto begin = std::chrono::steady_clock::now();
  server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  expect_refusal(waiting.read_answer(), 503, "stopped before there was an answer");
  EXPECT_TRUE(uploading.at_end());
  // The responder outlives the server.
  EXPECT_TRUE(responder.client_gone());
  EXPECT_FALSE(responder.answer({}));
}

TEST(HttpShutdown, WhileClientsSend) {
  for (int round = 0; round < 10; ++round) {
    std::atomic<bool> ended = false;
    HttpServer server({.threads = 1 + round % 3}, echo_routes());
    const int port = server.port();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&ended, port] {
        while (!ended) {
          RawClient client(port, 300ms);
          while (client.connected() && client.exchange(post("/echo", "x")).status == 200) {
          }
        }
      });
    std::this_thread::sleep_for(10ms);
    server.stop();
    EXPECT_EQ(server.counters().requests_in_flight, 0);
    ended = true;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace caprl
