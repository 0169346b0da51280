#include "caprl/http/server.h"

#include <microhttpd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "debug_log.h"
#include "listener.h"
#include "request_flow.h"

namespace caprl {
namespace {

constexpr double kLastAnswersSeconds = 1;  // for the 503s of the end to be sent

RequestFlow& flow_of(void* context) { return *static_cast<RequestFlow*>(context); }

MHD_Result on_request(void* context, MHD_Connection* connection, const char* path,
                      const char* method, const char*, const char* bytes, size_t* num_bytes,
                      void** request) {
  // What is thrown here, if anything, is want of memory.
  try {
    if (*request == nullptr) {
      *request = flow_of(context).begin(connection, method, path);
      return *request == nullptr ? MHD_NO : MHD_YES;
    }
    HttpExchange& exchange = *static_cast<HttpExchange*>(*request);
    if (*num_bytes > 0) {
      flow_of(context).receive(exchange, {bytes, *num_bytes});
      *num_bytes = 0;
      return MHD_YES;
    }
    return flow_of(context).finish(exchange) ? MHD_YES : MHD_NO;
  } catch (const std::exception& error) {
    log_error("http: a connection is closed: {}", error.what());
    return MHD_NO;
  }
}

void on_completed(void* context, MHD_Connection*, void** request,
                  MHD_RequestTerminationCode reason) {
  if (*request == nullptr) return;
  const HttpExchange& exchange = *static_cast<HttpExchange*>(std::exchange(*request, nullptr));
  flow_of(context).traffic().finish(exchange, reason == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

void on_connection(void* context, MHD_Connection* connection, void**,
                   MHD_ConnectionNotificationCode what) {
  if (what == MHD_CONNECTION_NOTIFY_CLOSED)
    flow_of(context).traffic().close(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

/// The library's own log. Its refusals are known from there alone.
void on_message(void* context, const char* format, va_list arguments) {
  if (std::strncmp(format, "Error processing request (HTTP response code is %u", 50) == 0) {
    va_list copy;
    va_copy(copy, arguments);
    flow_of(context).traffic().count_answer(static_cast<int>(va_arg(copy, unsigned)));
    va_end(copy);
  }
  char text[512];
  std::vsnprintf(text, sizeof(text), format, arguments);
  std::string line = text;
  while (line.ends_with('\n')) line.pop_back();
  log_debug("http: " + line);
}

/// The library's daemon without a listening socket: connections are given to it.
class Daemon {
 public:
  Daemon(const HttpServerConfig& config, RequestFlow& flow) {
    std::vector<MHD_OptionItem> options{
        {MHD_OPTION_EXTERNAL_LOGGER, reinterpret_cast<intptr_t>(&on_message), &flow},
        {MHD_OPTION_NOTIFY_COMPLETED, reinterpret_cast<intptr_t>(&on_completed), &flow},
        {MHD_OPTION_NOTIFY_CONNECTION, reinterpret_cast<intptr_t>(&on_connection), &flow},
        // Each thread could take all: HttpTraffic counts them, a little before the library does.
        {MHD_OPTION_CONNECTION_LIMIT, (config.max_connections + 64) * config.threads, nullptr},
        // HttpTraffic's deadlines are sooner, but for a client that does not read its answer.
        {MHD_OPTION_CONNECTION_TIMEOUT,
         static_cast<intptr_t>(std::max(config.read_timeout_s, config.idle_timeout_s)) + 2,
         nullptr},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, nullptr},
    };
    if (config.threads > 1)
      options.push_back({MHD_OPTION_THREAD_POOL_SIZE, config.threads, nullptr});
    options.push_back({MHD_OPTION_END, 0, nullptr});
    daemon_ = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
                                   MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
                               0, nullptr, nullptr, &on_request, &flow, MHD_OPTION_ARRAY,
                               options.data(), MHD_OPTION_END);
    if (daemon_ == nullptr)
      throw Error("the HTTP server's threads cannot be started: {}", std::strerror(errno));
  }
  ~Daemon() { stop(); }

  /// Takes the socket. False: it has been closed.
  bool add(int socket, const sockaddr* address, socklen_t size) {
    return MHD_add_connection(daemon_, socket, address, size) == MHD_YES;
  }
  void stop() {
    if (daemon_ != nullptr) MHD_stop_daemon(std::exchange(daemon_, nullptr));
  }

 private:
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpServerConfig& config, std::vector<HttpRoute> routes, std::string token)
      : config(config),
        traffic(std::make_shared<HttpTraffic>(config)),
        flow(config, std::move(routes), std::move(token), traffic),
        listener(listen_on(config.host, config.port)),
        port(listener.port),
        wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        daemon(config, flow) {
    gate = std::thread([this] { watch(); });
  }

  /// The gate's thread: accepts connections and keeps their deadlines.
  void watch();
  void accept_all();
  void stop();

  const HttpServerConfig config;
  const std::shared_ptr<HttpTraffic> traffic;
  RequestFlow flow;
  HttpListener listener;  // the gate's own once that runs
  const int port;
  OwnedFd wake;
  Daemon daemon;
  std::atomic<bool> accepting = true;
  std::atomic<bool> stopped = false;
  std::once_flag stop_once;
  std::thread gate;
};

void HttpServer::Impl::watch() {
  const int tick_ms = static_cast<int>(
      std::clamp(1000 * std::min(config.read_timeout_s, config.idle_timeout_s) / 8, 5.0, 250.0));
  while (!stopped) {
    if (listener.socket.get() >= 0 && traffic->draining()) {
      accept_all();  // those that the kernel has connected by now are told
      listener.socket = OwnedFd();
      accepting = false;
      accepting.notify_all();
    }
    pollfd events[] = {{listener.socket.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
    if (::poll(events, 2, tick_ms) > 0) {
      uint64_t count;
      if (events[1].revents != 0) (void)!::read(wake.get(), &count, sizeof(count));
      if (events[0].revents != 0) accept_all();
    }
    traffic->enforce_deadlines();
  }
}

void HttpServer::Impl::accept_all() {
  for (;;) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    auto* const peer = reinterpret_cast<sockaddr*>(&address);
    OwnedFd socket(::accept4(listener.socket.get(), peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) {
        log_warning("http: a connection cannot be accepted: {}", std::strerror(errno));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until files are closed
      }
      return;
    }
    if (!traffic->open(socket.get())) {
      send_last_answer(socket.get(), unavailable("too many connections"));
      continue;
    }
    const int number = socket.release();
    if (!daemon.add(number, peer, size)) traffic->close(number);
  }
}

void HttpServer::Impl::stop() {
  const auto wake_up = [this] {
    const uint64_t one = 1;
    (void)!::write(wake.get(), &one, sizeof(one));
  };
  traffic->start_draining();
  wake_up();
  accepting.wait(true);
  if (!traffic->wait_until_served(config.shutdown_timeout_s)) {
    log_warning("http: stopping with {} requests unanswered",
                traffic->counters().requests_in_flight);
    traffic->answer_rest();
    traffic->wait_until_served(kLastAnswersSeconds);
  }
  stopped = true;
  wake_up();
  gate.join();
  traffic->answer_rest();
  daemon.stop();
}

HttpServer::HttpServer(const HttpServerConfig& config, std::vector<HttpRoute> routes) {
  std::string token = read_bearer_token(config.token_env, config.token_file);
  const bool secured = !token.empty();
  allow_connections(config.max_connections);
  impl_ = std::make_unique<Impl>(config, std::move(routes), std::move(token));
  if (!secured && config.host != "localhost" && config.host != "::1" &&
      !config.host.starts_with("127."))
    log_warning(
        "http: everyone who reaches {} may send requests; token_env or token_file ask for a token",
        config.host);
}

HttpServer::~HttpServer() { stop(); }

int HttpServer::port() const { return impl_->port; }

std::string HttpServer::url() const {
  return "http://" + host_and_port(impl_->config.host, impl_->port);
}

HttpServerCounters HttpServer::counters() const { return impl_->traffic->counters(); }

void HttpServer::stop() {
  std::call_once(impl_->stop_once, [this] { impl_->stop(); });
}

HttpResponder::HttpResponder(std::shared_ptr<HttpTraffic> traffic,
                             std::shared_ptr<HttpExchange> exchange)
    : traffic_(std::move(traffic)), exchange_(std::move(exchange)) {}

HttpResponder::~HttpResponder() {
  if (exchange_) traffic_->abandon(*exchange_);
}

HttpResponder& HttpResponder::operator=(HttpResponder&& other) noexcept {
  HttpResponder old(std::move(*this));
  traffic_ = std::move(other.traffic_);
  exchange_ = std::move(other.exchange_);
  return *this;
}

bool HttpResponder::answer(HttpResponse response) {
  if (!exchange_) throw Error("a request has been answered already");
  return traffic_->answer(*std::exchange(exchange_, nullptr), std::move(response));
}

bool HttpResponder::client_gone() const {
  return exchange_ == nullptr || traffic_->client_gone(*exchange_);
}

}  // namespace caprl
