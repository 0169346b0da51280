#include <algorithm>
#include <atomic>
#include <random>

#include "caprl/http/client.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;

TEST(HttpLoad, IdleAndSlowConnectionsDoNotHinderOthers) {
  HttpServer server({}, echo_routes());
  std::vector<RawClient> idle, slow;
  for (int i = 0; i < 1000; ++i) idle.emplace_back(server.port());
  for (int i = 0; i < 50; ++i) {
    slow.emplace_back(server.port());
    slow.back().send(i % 2 ? "GET /hea"
                           : "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1");
  }
  ASSERT_TRUE(eventually([&] { return server.counters().connections_open == 1050; }));
  RawClient client(server.port());
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client.exchange(post("/echo", std::to_string(i))).body, std::to_string(i));
    slow[i % 50].send("x");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  for (int i = 0; i < 1000; i += 100) EXPECT_EQ(idle[i].exchange(get("/health")).status, 200);
}

/// Answers requests in batches and in any order, from threads of its own.
class Batcher {
 public:
  Batcher() {
    for (int i = 0; i < 4; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~Batcher() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void take(HttpRequest&& request, HttpResponder responder) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(std::move(request), std::move(responder));
    changed_.notify_all();
  }

 private:
  void work(int seed) {
    std::mt19937 random(seed);
    for (;;) {
      std::vector<std::pair<HttpRequest, HttpResponder>> batch;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        batch.swap(waiting_);
      }
      std::ranges::shuffle(batch, random);
      for (auto& [request, responder] : batch) responder.answer({.body = "to " + request.body});
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<HttpRequest, HttpResponder>> waiting_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

TEST(HttpLoad, EachOfManyClientsGetsItsOwnAnswers) {
  constexpr int kThreads = 32, kRequests = 100;
  Batcher batcher;
  HttpServer server({}, {{"POST", "/", [&](HttpRequest&& request, HttpResponder&& responder) {
                            batcher.take(std::move(request), std::move(responder));
                          }}});
  HttpClient client({});
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRequests; ++i) {
        const std::string id = fmt::format("{}-{}", t, i) + std::string(i * 50, 'x');
        const HttpResult result = client.post(server.url() + "/", id);
        if (result.ok() && result.body == "to " + id)
          ++right;
        else
          ADD_FAILURE() << result.describe();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads * kRequests);
  const HttpServerCounters counters = server.counters();
  EXPECT_EQ(counters.answers, (std::map<int, int64_t>{{200, kThreads * kRequests}}));
  EXPECT_LE(counters.connections_accepted, kThreads);  // they are kept
  EXPECT_EQ(counters.dropped_answers, 0);
}

TEST(HttpLoad, ClientsThatComeAndGoAtWill) {
  Batcher batcher;
  HttpServer server({.read_timeout_s = 0.2, .idle_timeout_s = 0.2},
                    {{"POST", "/", [&](HttpRequest&& request, HttpResponder&& responder) {
                        batcher.take(std::move(request), std::move(responder));
                      }}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 50; ++i) {
        RawClient client(server.port());
        const std::string text = post("/", "x") + post("/", std::string(random() % 50'000, 'y'));
        client.send(text.substr(0, random() % 3 ? text.size() : random() % text.size()));
        if (random() % 2) client.read_answer();
        random() % 2 ? client.reset() : client.close();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(eventually([&] {
    const HttpServerCounters counters = server.counters();
    return counters.connections_open == 0 && counters.requests_in_flight == 0;
  }));
  RawClient client(server.port());
  EXPECT_EQ(client.exchange(post("/", "z")).body, "to z");
}

}  // namespace
}  // namespace caprl
