// The connections and requests of a server: their phases, their deadlines, their counts.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "caprl/http/server.h"

struct MHD_Connection;

namespace caprl {

using SteadyClock = std::chrono::steady_clock;

/// One request, from the end of its head to the end of its answer.
struct HttpExchange : std::enable_shared_from_this<HttpExchange> {
  enum class State {
    kReading,   // its body is being read
    kHandling,  // its responder may answer; the connection is suspended
    kAnswered,  // its answer is to be sent
    kDropped,   // its connection is to be closed without an answer
  };
  State state = State::kReading;
  bool in_handler = false;  // the handler has not returned yet
  bool abandoned = false;   // in the meantime its responder has gone
  MHD_Connection* connection = nullptr;
  int socket = -1;
  const HttpRoute* route = nullptr;
  HttpRequest request;    // its I/O thread's own
  HttpResponse response;  // of kAnswered; stays where it is until the answer has been sent
};

struct HttpConnection {
  enum class Phase {
    kIdle,     // no byte of a request has come
    kReading,  // a request is coming in
    kServing,  // it is being handled or answered
    kRefused,  // the last answer has been sent, not through the library; what comes in is dropped
  };
  Phase phase = Phase::kIdle;
  SteadyClock::time_point since = SteadyClock::now();  // of kIdle, kReading and kRefused
  uint64_t received = 0;  // bytes when the last request was complete; further ones are the next's
  std::shared_ptr<HttpExchange> exchange;  // of the request in progress

  /// The request is complete.
  void serve(int socket);
};

/// Shared by the server and its responders, which may outlive it. Thread-safe: one mutex guards
/// all; libmicrohttpd's calls within it take none but the library's own, and its callbacks come
/// without.
class HttpTraffic {
 public:
  explicit HttpTraffic(const HttpServerConfig& config);

  // The acceptor's. A connection is known by its socket, from before the library has it until just
  // before the library closes it.
  bool open(int socket);  // false: too many
  void close(int socket);
  /// Ends what has passed its deadline.
  void enforce_deadlines();

  // The I/O threads'.
  /// The head of a request has been read. Null: the connection has been refused.
  HttpExchange* begin(MHD_Connection* connection, int socket);
  /// Bytes of its body; false: they are of no use any more.
  bool receive(const HttpExchange& exchange, size_t bytes);
  /// Answers while the request is still coming in; the connection is closed when the client has
  /// read that.
  void refuse(const HttpExchange& exchange, const HttpResponse& response);
  /// What a request that is not handled will be answered once it has been read.
  void answer_unhandled(HttpExchange& exchange, HttpResponse response);
  /// Suspends the connection; a responder may answer from now on. False: too many requests, or no
  /// more, and the state says what to do.
  bool start_handling(HttpExchange& exchange);
  /// The handler has returned; `failure`: what it threw.
  void end_handling(HttpExchange& exchange, std::optional<HttpResponse> failure);
  HttpExchange::State state_of(const HttpExchange& exchange) const;
  void count_answer(int status);
  /// The request's last moment; `sent`: all of its answer.
  void finish(const HttpExchange& exchange, bool sent);

  // The responders'.
  bool answer(HttpExchange& exchange, HttpResponse response);
  void abandon(HttpExchange& exchange);
  bool client_gone(const HttpExchange& exchange) const;

  // The server's end.
  void start_draining();
  bool draining() const;
  /// False: there are still requests after so many seconds.
  bool wait_until_served(double seconds);
  /// Answers 503 to all that is being handled and to what would be from now on.
  void answer_rest();

  HttpServerCounters counters() const;

 private:
  void answer_unhandled_locked(HttpExchange& exchange, HttpResponse response);
  void settle(HttpExchange& exchange, HttpResponse response);
  void resume(HttpExchange& exchange, HttpExchange::State state);
  void refuse_locked(HttpConnection& connection, int socket, const HttpResponse& response);
  void enforce(HttpConnection& connection, int socket, SteadyClock::time_point now);
  bool all_served() const;

  const HttpServerConfig config_;
  mutable std::mutex mutex_;
  std::condition_variable served_;
  std::unordered_map<int, HttpConnection> connections_;
  HttpServerCounters counters_;
  bool draining_ = false;
  bool ended_ = false;  // nothing is handled any more
};

/// 503 with Retry-After.
HttpResponse unavailable(std::string_view message);

}  // namespace caprl
