#include "support.h"

namespace caprl {
namespace {

using namespace test;

RawAnswer ask(const HttpServer& server, const std::string& text) {
  RawClient client(server.port());
  return client.exchange(text);
}

TEST(HttpRefusal, PathsAndMethods) {
  HttpServer server({}, {{"POST", "/a", echo}, {"PUT", "/a", echo}});
  RawClient client(server.port());
  expect_refusal(client.exchange(get("/b")), 404, "unknown path /b");
  expect_refusal(client.exchange(get("/a/")), 404, "unknown path /a/");
  EXPECT_EQ(client.exchange(post("/a?x=1&y", "q")).body, "q");
  for (const char* method : {"GET", "DELETE", "BREW"}) {
    const RawAnswer answer =
        client.exchange(fmt::format("{} /a HTTP/1.1\r\nHost: x\r\n\r\n", method));
    expect_refusal(answer, 405, fmt::format("/a: expected the method POST, PUT, got {}", method));
    EXPECT_THAT(answer.head, HasSubstr("Allow: POST, PUT\r\n"));
  }
  EXPECT_EQ(server.counters().answers, (std::map<int, int64_t>{{200, 1}, {404, 2}, {405, 3}}));
}

// The library's own pages; what they say depends on its version.
TEST(HttpRefusal, WhatIsNoHttp) {
  HttpServer server({}, echo_routes());
  EXPECT_EQ(ask(server, "this is nonsense\r\n\r\n").status, 400);
  EXPECT_EQ(ask(server, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n").status,
            400);
  EXPECT_EQ(ask(server, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n").status,
            400);
  EXPECT_EQ(ask(server, "GET /health HTTP/1.1\r\n\r\n").status, 400);  // no Host
  EXPECT_EQ(ask(server, "GET /health HTTP/3.0\r\nHost: x\r\n\r\n").status, 505);
  EXPECT_EQ(
      ask(server, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
          .status,
      400);
  RawClient garbage(server.port());
  garbage.send("\x16\x03\x01\x02\n\n");  // as a client that speaks TLS
  EXPECT_TRUE(garbage.at_end());
  EXPECT_EQ(server.counters().answers, (std::map<int, int64_t>{{400, 5}, {505, 1}}));
  EXPECT_EQ(ask(server, get("/health")).status, 200);
}

TEST(HttpRefusal, AmbiguousLengths) {
  HttpServer server({}, echo_routes());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  // By this module or by the library, which has become stricter.
  for (const char* lengths : {"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                              "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                              "Transfer-Encoding: gzip\r\n\r\n"})
    EXPECT_EQ(ask(server, head + lengths).status, 400) << lengths;
  EXPECT_EQ(server.counters().answers.at(400), 3);
}

TEST(HttpRefusal, HugeHeads) {
  HttpServer server({}, echo_routes());
  EXPECT_EQ(ask(server, get("/health", "X: " + std::string(100'000, 'x') + "\r\n")).status, 431);
  EXPECT_EQ(ask(server, get("/" + std::string(100'000, 'x'))).status, 414);
}

TEST(HttpRefusal, AnnouncedBodiesThatAreTooLarge) {
  HttpServer server({.max_body_mb = 1}, echo_routes());
  RawClient client(server.port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n";
  expect_refusal(client.exchange(head + "\r\n"), 413,
                 "expected at most 1 MB (2^20 bytes), got 104857600 bytes");
  EXPECT_TRUE(client.at_end());
  expect_refusal(ask(server, head + "Expect: 100-continue\r\n\r\n"), 413, "at most 1 MB");
  EXPECT_EQ(server.counters().body_bytes_received, 0);

  // A client that sends on can read the answer all the same.
  RawClient stubborn(server.port());
  stubborn.send(head + "\r\n");
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 10 && stubborn.send(piece); ++i) std::this_thread::sleep_for(5ms);
  expect_refusal(stubborn.read_answer(), 413, "at most 1 MB");
}

TEST(HttpRefusal, ChunksThatBecomeTooLarge) {
  HttpServer server({.max_body_mb = 1}, echo_routes());
  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string piece = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  int pieces = 0;
  while (pieces < 1600 && !client.can_read() && client.send(piece)) ++pieces;
  EXPECT_GE(pieces, 16);
  EXPECT_LT(pieces, 800);  // of 100 MB
  expect_refusal(client.read_answer(), 413, "expected at most 1 MB (2^20 bytes), got more");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpRefusal, SlowSenders) {
  HttpServer server({.read_timeout_s = 0.4}, echo_routes());
  const auto trickle = [&](const std::string& at_once, const std::string& slowly) {
    RawClient client(server.port());
    client.send(at_once);
    const auto begin = std::chrono::steady_clock::now();
    for (size_t i = 0; !client.can_read(); ++i) {
      client.send(slowly.substr(i % slowly.size(), 1));
      std::this_thread::sleep_for(10ms);
    }
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_GE(took, 300ms);
    EXPECT_LE(took, 3s);
    expect_refusal(client.read_answer(), 408, "has not arrived within 0.4 seconds");
    EXPECT_TRUE(client.at_end());
  };
  trickle("", "x");
  trickle("GET /health HTTP/1.1\r\n", "Header: x\r\n");
  trickle("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "x");
  trickle("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n");
  // Not only with a first request.
  RawClient client(server.port());
  EXPECT_EQ(client.exchange(get("/health")).status, 200);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(client.exchange(get("/health")).status, 200);
  expect_refusal(client.exchange("GET /hea"), 408, "has not arrived");
  EXPECT_EQ(server.counters().answers, (std::map<int, int64_t>{{200, 2}, {408, 5}}));
}

TEST(HttpRefusal, IdleConnectionsAreClosed) {
  HttpServer server({.idle_timeout_s = 0.2}, echo_routes());
  RawClient silent(server.port()), once(server.port());
  EXPECT_EQ(once.exchange(get("/health")).status, 200);
  EXPECT_TRUE(silent.at_end());
  EXPECT_TRUE(once.at_end());
  EXPECT_TRUE(eventually([&] { return server.counters().connections_open == 0; }));
}

TEST(HttpRefusal, TooManyRequests) {
  Held held;
  HttpServer server({.max_requests = 1}, {{"POST", "/", held.handler()}});
  RawClient first(server.port()), second(server.port());
  first.send(post("/", "1"));
  HttpResponder responder = held.take_responder();
  const RawAnswer refused = second.exchange(post("/", "2"));
  expect_refusal(refused, 503, "too many requests in progress");
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1\r\n"));
  responder.answer({});
  EXPECT_EQ(first.read_answer().status, 200);
  second.send(post("/", "2"));  // the connection is as before
  held.take_responder().answer({});
  EXPECT_EQ(second.read_answer().status, 200);
}

TEST(HttpRefusal, TooManyConnections) {
  HttpServer server({.max_connections = 2}, echo_routes());
  RawClient first(server.port()), second(server.port());
  EXPECT_EQ(first.exchange(get("/health")).status, 200);
  EXPECT_EQ(second.exchange(get("/health")).status, 200);
  RawClient third(server.port());
  const RawAnswer refused = third.read_answer();
  expect_refusal(refused, 503, "too many connections");
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1\r\n"));
  first.close();
  EXPECT_TRUE(eventually([&] { return server.counters().connections_open == 1; }));
  EXPECT_EQ(ask(server, get("/health")).status, 200);
}

}  // namespace
}  // namespace caprl
