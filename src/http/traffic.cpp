#include "traffic.h"

#include <fmt/format.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "listener.h"

namespace caprl {
namespace {

// A client that is sending gets this long to notice a refusal before its connection is cut.
constexpr std::chrono::milliseconds kLinger{1000};

/// Whether the client has closed its side. Bytes of a further request hide it.
bool has_hung_up(int socket) {
  char byte;
  const ssize_t got = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

SteadyClock::duration seconds(double count) {
  return std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(count));
}

}  // namespace

HttpResponse unavailable(std::string_view message) {
  HttpResponse response = http_error(503, message);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

void HttpConnection::serve(int socket) {
  phase = Phase::kServing;
  received = bytes_received(socket);
}

HttpTraffic::HttpTraffic(const HttpServerConfig& config) : config_(config) {}

bool HttpTraffic::open(int socket) {
  const std::lock_guard lock(mutex_);
  if (std::cmp_greater_equal(connections_.size(), config_.max_connections)) {
    ++counters_.answers[503];
    return false;
  }
  connections_[socket] = HttpConnection{};
  ++counters_.connections_accepted;
  return true;
}

void HttpTraffic::close(int socket) {
  const std::lock_guard lock(mutex_);
  connections_.erase(socket);
  served_.notify_all();
}

void HttpTraffic::enforce_deadlines() {
  const auto now = SteadyClock::now();
  const std::lock_guard lock(mutex_);
  for (auto& [socket, connection] : connections_)
    if (connection.phase != HttpConnection::Phase::kServing) enforce(connection, socket, now);
}

void HttpTraffic::enforce(HttpConnection& connection, int socket, SteadyClock::time_point now) {
  using Phase = HttpConnection::Phase;
  // The library says nothing before a head is complete: the kernel's count shows its first bytes.
  if (connection.phase == Phase::kIdle && bytes_received(socket) > connection.received) {
    connection.phase = Phase::kReading;
    connection.since = now;
  }
  const auto age = now - connection.since;
  if (connection.phase == Phase::kReading && age > seconds(config_.read_timeout_s))
    return refuse_locked(
        connection, socket,
        http_error(408, fmt::format("the request has not arrived within {} seconds",
                                    config_.read_timeout_s)));
  // The library overlooks an end that has come together with the last bytes.
  const bool over = connection.phase == Phase::kRefused ? age > kLinger : has_hung_up(socket);
  if (over || (connection.phase == Phase::kIdle && age > seconds(config_.idle_timeout_s)))
    ::shutdown(socket, SHUT_RDWR);  // the library notices, and closes
}

HttpExchange* HttpTraffic::begin(MHD_Connection* connection, int socket) {
  const std::lock_guard lock(mutex_);
  HttpConnection& its = connections_.at(socket);
  if (its.phase == HttpConnection::Phase::kRefused) return nullptr;
  if (its.phase == HttpConnection::Phase::kIdle) its.since = SteadyClock::now();
  its.phase = HttpConnection::Phase::kReading;
  its.exchange = std::make_shared<HttpExchange>();
  its.exchange->connection = connection;
  its.exchange->socket = socket;
  return its.exchange.get();
}

bool HttpTraffic::receive(const HttpExchange& exchange, size_t bytes) {
  const std::lock_guard lock(mutex_);
  counters_.body_bytes_received += static_cast<int64_t>(bytes);
  return connections_.at(exchange.socket).phase != HttpConnection::Phase::kRefused;
}

void HttpTraffic::refuse(const HttpExchange& exchange, const HttpResponse& response) {
  const std::lock_guard lock(mutex_);
  HttpConnection& connection = connections_.at(exchange.socket);
  if (connection.phase != HttpConnection::Phase::kRefused)
    refuse_locked(connection, exchange.socket, response);
}

void HttpTraffic::refuse_locked(HttpConnection& connection, int socket,
                                const HttpResponse& response) {
  ++counters_.answers[response.status];
  send_last_answer(socket, response);
  connection.phase = HttpConnection::Phase::kRefused;
  connection.since = SteadyClock::now();
  served_.notify_all();
}

void HttpTraffic::answer_unhandled(HttpExchange& exchange, HttpResponse response) {
  const std::lock_guard lock(mutex_);
  answer_unhandled_locked(exchange, std::move(response));
}

void HttpTraffic::answer_unhandled_locked(HttpExchange& exchange, HttpResponse response) {
  HttpConnection& connection = connections_.at(exchange.socket);
  if (connection.phase == HttpConnection::Phase::kRefused) {
    exchange.state = HttpExchange::State::kDropped;
    return;
  }
  connection.serve(exchange.socket);
  exchange.response = std::move(response);
  exchange.state = HttpExchange::State::kAnswered;
}

bool HttpTraffic::start_handling(HttpExchange& exchange) {
  const std::lock_guard lock(mutex_);
  HttpConnection& connection = connections_.at(exchange.socket);
  if (ended_ || counters_.requests_in_flight >= config_.max_requests ||
      connection.phase == HttpConnection::Phase::kRefused) {
    answer_unhandled_locked(
        exchange, unavailable(ended_ ? "the server is stopping" : "too many requests in progress"));
    return false;
  }
  connection.serve(exchange.socket);
  exchange.state = HttpExchange::State::kHandling;
  exchange.in_handler = true;
  ++counters_.requests_in_flight;
  MHD_suspend_connection(exchange.connection);
  return true;
}

void HttpTraffic::end_handling(HttpExchange& exchange, std::optional<HttpResponse> failure) {
  const std::lock_guard lock(mutex_);
  exchange.in_handler = false;
  if (exchange.state != HttpExchange::State::kHandling) return;
  if (failure)
    settle(exchange, std::move(*failure));
  else if (exchange.abandoned)
    settle(exchange, http_error(500, "the request was given up without an answer"));
}

HttpExchange::State HttpTraffic::state_of(const HttpExchange& exchange) const {
  const std::lock_guard lock(mutex_);
  return exchange.state;
}

void HttpTraffic::count_answer(int status) {
  const std::lock_guard lock(mutex_);
  ++counters_.answers[status];
}

void HttpTraffic::finish(const HttpExchange& exchange, bool sent) {
  const std::lock_guard lock(mutex_);
  HttpConnection& connection = connections_.at(exchange.socket);
  if (exchange.state == HttpExchange::State::kAnswered) {
    if (sent)
      counters_.body_bytes_sent += static_cast<int64_t>(exchange.response.body.size());
    else
      ++counters_.dropped_answers;
  }
  if (connection.phase != HttpConnection::Phase::kRefused) {
    connection.phase = HttpConnection::Phase::kIdle;
    connection.since = SteadyClock::now();
  }
  connection.exchange.reset();
  served_.notify_all();
}

void HttpTraffic::resume(HttpExchange& exchange, HttpExchange::State state) {
  exchange.state = state;
  --counters_.requests_in_flight;
  if (state == HttpExchange::State::kDropped) ++counters_.dropped_answers;
  MHD_resume_connection(exchange.connection);
}

void HttpTraffic::settle(HttpExchange& exchange, HttpResponse response) {
  if (has_hung_up(exchange.socket)) return resume(exchange, HttpExchange::State::kDropped);
  exchange.response = std::move(response);
  resume(exchange, HttpExchange::State::kAnswered);
}

bool HttpTraffic::answer(HttpExchange& exchange, HttpResponse response) {
  const std::lock_guard lock(mutex_);
  if (exchange.state == HttpExchange::State::kHandling) {
    settle(exchange, std::move(response));
    return exchange.state == HttpExchange::State::kAnswered;
  }
  ++counters_.dropped_answers;  // answer_rest() was first
  return false;
}

void HttpTraffic::abandon(HttpExchange& exchange) {
  const std::lock_guard lock(mutex_);
  if (exchange.state != HttpExchange::State::kHandling) return;
  if (exchange.in_handler)
    exchange.abandoned = true;  // how the handler ends says what to answer
  else
    settle(exchange, http_error(500, "the request was given up without an answer"));
}

bool HttpTraffic::client_gone(const HttpExchange& exchange) const {
  const std::lock_guard lock(mutex_);
  return exchange.state != HttpExchange::State::kHandling || has_hung_up(exchange.socket);
}

void HttpTraffic::start_draining() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool HttpTraffic::draining() const {
  const std::lock_guard lock(mutex_);
  return draining_;
}

bool HttpTraffic::all_served() const {
  for (const auto& [socket, connection] : connections_)
    if (connection.exchange && connection.phase != HttpConnection::Phase::kRefused) return false;
  return true;
}

bool HttpTraffic::wait_until_served(double count) {
  std::unique_lock lock(mutex_);
  return served_.wait_for(lock, seconds(count), [this] { return all_served(); });
}

void HttpTraffic::answer_rest() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (auto& [socket, connection] : connections_)
    if (connection.exchange && connection.exchange->state == HttpExchange::State::kHandling)
      settle(*connection.exchange,
             unavailable("the server has stopped before there was an answer"));
}

HttpServerCounters HttpTraffic::counters() const {
  const std::lock_guard lock(mutex_);
  HttpServerCounters counters = counters_;
  counters.connections_open = static_cast<int64_t>(connections_.size());
  return counters;
}

}  // namespace caprl
