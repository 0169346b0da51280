// An HTTP/1.1 server whose requests may be answered later, from any thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/http/message.h"

namespace caprl {

struct HttpServerConfig {
  std::string host = "127.0.0.1";
  int64_t port = 0;
  int64_t threads = 2;
  int64_t max_connections = 2048;
  int64_t max_requests = 256;
  int64_t max_body_mb = 16;
  double read_timeout_s = 30;
  double idle_timeout_s = 120;
  double shutdown_timeout_s = 30;
  std::string token_env;
  std::string token_file;
  void fields(ConfigVisitor& v);
};

/// A request whose head and body have been read.
struct HttpRequest {
  std::string method;
  std::string path;  // percent-decoded, without the query
  std::string content_type;
  std::string body;
};

class HttpTraffic;
struct HttpExchange;

/// The right to answer one request, once, from any thread, also after the server has gone.
/// Destroyed without an answer it answers 500. Movable; one thread at a time.
class HttpResponder {
 public:
  HttpResponder(std::shared_ptr<HttpTraffic> traffic, std::shared_ptr<HttpExchange> exchange);
  ~HttpResponder();
  HttpResponder(HttpResponder&&) noexcept = default;
  HttpResponder& operator=(HttpResponder&& other) noexcept;

  /// Hands the answer over and does not wait until it is sent. False: nobody is there to read it
  /// (the client has gone, or the server has stopped); it is dropped and counted. A client that has
  /// closed its sending side has gone. Throws Error if there has been an answer already.
  bool answer(HttpResponse response);

  /// Whether the answer would be dropped: whoever collects a batch may leave this request out. What
  /// a pipelining client sends hides that it has gone.
  bool client_gone() const;

 private:
  std::shared_ptr<HttpTraffic> traffic_;
  std::shared_ptr<HttpExchange> exchange_;  // null: answered, or moved from
};

/// Called on one of the server's threads, which serves other connections too: it may parse the body
/// but must not wait or compute for long. It may keep the responder. An InputError that leaves it
/// answers 400 with its message, any other exception 500 (the message is logged, not sent), unless
/// there has been an answer.
using HttpHandler = std::function<void(HttpRequest&&, HttpResponder&&)>;

struct HttpRoute {
  std::string method;  // "POST"
  std::string path;    // "/get_reward", matched exactly
  HttpHandler handler;
  bool open = false;  // asks for no token
};

/// Since the server's start.
struct HttpServerCounters {
  int64_t connections_open = 0;
  int64_t connections_accepted = 0;
  int64_t requests_in_flight = 0;  // given to a handler and not answered yet
  std::map<int, int64_t> answers;  // by status, the transport's refusals among them
  int64_t dropped_answers = 0;     // the client had gone, or the server had stopped
  int64_t body_bytes_received = 0;
  int64_t body_bytes_sent = 0;
};

/// Serves from construction until stop(). What the transport refuses by itself, as JSON: 400 (the
/// body's length is ambiguous), 401 (before the body is read), 404, 405 with Allow, 408 (head and
/// body took longer than read_timeout_s), 413 (announced: without reading; chunked: as soon as the
/// body is too long), 503 with Retry-After (too many requests or connections, or the server is
/// stopping). What libmicrohttpd cannot parse it refuses by itself, with short HTML pages: 400,
/// 414, 431 (a head of more than about 32 KB), 505. Never raises SIGPIPE. All methods are
/// thread-safe.
class HttpServer {
 public:
  /// Throws InputError if it cannot listen (the port is in use, the host is not this machine's), if
  /// the token cannot be read, and if there may not be so many open files as connections (the limit
  /// is raised as far as the system lets it). Without a token every route is open.
  HttpServer(const HttpServerConfig& config, std::vector<HttpRoute> routes);
  /// stop()
  ~HttpServer();

  int port() const;
  /// "http://127.0.0.1:8000"
  std::string url() const;
  HttpServerCounters counters() const;

  /// Accepts nothing more, waits shutdown_timeout_s at most for the requests whose head had been
  /// read, answers 503 to those left, and returns when all connections are closed. Not to be called
  /// by a handler.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
