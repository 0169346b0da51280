// Servers for the tests of this module.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "caprl/http/server.h"
#include "raw_client.h"
#include "support/errors.h"

namespace caprl::test {

using testing::HasSubstr;

/// Requests that wait for the test to answer them.
class Held {
 public:
  HttpHandler handler() {
    return [this](HttpRequest&& request, HttpResponder&& responder) {
      const std::lock_guard lock(mutex_);
      held_.emplace_back(std::move(request), std::move(responder));
      changed_.notify_all();
    };
  }
  std::pair<HttpRequest, HttpResponder> take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, 5s, [this] { return !held_.empty(); }))
      throw std::runtime_error("no request has come");
    auto first = std::move(held_.front());
    held_.pop_front();
    return first;
  }
  HttpResponder take_responder() { return take().second; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<HttpRequest, HttpResponder>> held_;
};

/// Answers with the request's body.
inline void echo(HttpRequest&& request, HttpResponder&& responder) {
  responder.answer({.body = std::move(request.body)});
}

inline std::vector<HttpRoute> echo_routes() {
  return {{"POST", "/echo", echo},
          {"GET", "/health",
           [](HttpRequest&&, HttpResponder&& responder) { responder.answer({.body = "{}"}); },
           /*open=*/true}};
}

inline void expect_refusal(const RawAnswer& answer, int status, const std::string& words) {
  EXPECT_EQ(answer.status, status) << answer.head;
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(answer.body, HasSubstr(words));
  EXPECT_THAT(answer.body, testing::StartsWith("{\"error\":{\"message\":\""));
  EXPECT_THAT(answer.body, testing::EndsWith(fmt::format("\"status\":{}}}}}", status)));
}

}  // namespace caprl::test
