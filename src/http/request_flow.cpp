#include "request_flow.h"

#include <microhttpd.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"
#include "caprl/core/log.h"

namespace caprl {
namespace {

std::string_view header(MHD_Connection* connection, const char* name) {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

int num_headers(MHD_Connection* connection, const char* name) {
  struct Count {
    const char* name;
    int count = 0;
  } count{name};
  MHD_get_connection_values(
      connection, MHD_HEADER_KIND,
      [](void* context, MHD_ValueKind, const char* key, const char*) {
        auto& mine = *static_cast<Count*>(context);
        if (::strcasecmp(key, mine.name) == 0) ++mine.count;
        return MHD_YES;
      },
      &count);
  return count.count;
}

/// Of the last part of a request, the path or a header's value, no more than an error should show.
std::string shortened(std::string_view text) { return excerpt(text, 100); }

uint64_t announced_length(MHD_Connection* connection) {
  const std::string_view text = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
  uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

bool has_body(MHD_Connection* connection) {
  return num_headers(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) > 0 ||
         announced_length(connection) > 0;
}

}  // namespace

RequestFlow::RequestFlow(const HttpServerConfig& config, std::vector<HttpRoute> routes,
                         std::string token, std::shared_ptr<HttpTraffic> traffic)
    : max_body_(static_cast<size_t>(config.max_body_mb) << 20),
      max_body_mb_(config.max_body_mb),
      routes_(std::move(routes)),
      token_(std::move(token)),
      traffic_(std::move(traffic)) {}

HttpExchange* RequestFlow::begin(MHD_Connection* connection, std::string_view method,
                                 std::string_view path) {
  const int socket =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  HttpExchange* exchange = traffic_->begin(connection, socket);
  if (exchange == nullptr) return nullptr;
  if (auto refused = refusal(*exchange, method, path)) {
    if (has_body(connection))
      traffic_->refuse(*exchange, *refused);
    else
      traffic_->answer_unhandled(*exchange, std::move(*refused));
    return exchange;
  }
  exchange->request.method = method;
  exchange->request.path = path;
  exchange->request.content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
  return exchange;
}

std::optional<HttpResponse> RequestFlow::refusal(HttpExchange& exchange, std::string_view method,
                                                 std::string_view path) const {
  if (traffic_->draining()) return unavailable("the server is stopping");
  std::vector<const HttpRoute*> here;
  std::string allowed;
  for (const HttpRoute& route : routes_) {
    if (route.path != path) continue;
    here.push_back(&route);
    allowed += (allowed.empty() ? "" : ", ") + route.method;
  }
  const auto found = std::ranges::find(here, method, &HttpRoute::method);
  exchange.route = found == here.end() ? nullptr : *found;
  // Without the token nothing is said about what paths there are.
  const bool open = !here.empty() && (exchange.route ? exchange.route->open
                                                     : std::ranges::all_of(here, &HttpRoute::open));
  if (!token_.empty() && !open) {
    const auto given = header(exchange.connection, MHD_HTTP_HEADER_AUTHORIZATION);
    if (!has_bearer_token(given, token_)) {
      HttpResponse response = http_error(
          401, given.empty() ? "expected a header \"Authorization: Bearer TOKEN\", got none"
                             : "the token in the header \"Authorization\" is not the right one");
      response.headers.emplace_back("WWW-Authenticate", "Bearer");
      return response;
    }
  }
  if (here.empty()) return http_error(404, fmt::format("unknown path {}", shortened(path)));
  if (exchange.route == nullptr) {
    HttpResponse response = http_error(
        405, fmt::format("{}: expected the method {}, got {}", path, allowed, shortened(method)));
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  return body_refusal(exchange.connection);
}

std::optional<HttpResponse> RequestFlow::body_refusal(MHD_Connection* connection) const {
  const int lengths = num_headers(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const int encodings = num_headers(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  if (lengths + encodings > 1)
    return http_error(400, "expected Content-Length or Transfer-Encoding once, got several");
  const auto encoding = header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  if (encodings > 0 && ::strcasecmp(std::string(encoding).c_str(), "chunked") != 0)
    return http_error(
        400, fmt::format("Transfer-Encoding: expected chunked, got {}", shortened(encoding)));
  const uint64_t length = announced_length(connection);
  if (length > max_body_) return too_large(fmt::format("{} bytes", length));
  return {};
}

HttpResponse RequestFlow::too_large(std::string_view got) const {
  return http_error(
      413, fmt::format("the body: expected at most {} MB (2^20 bytes), got {}", max_body_mb_, got));
}

void RequestFlow::receive(HttpExchange& exchange, std::string_view bytes) {
  if (!traffic_->receive(exchange, bytes.size())) return;
  std::string& body = exchange.request.body;
  if (body.size() + bytes.size() > max_body_) return traffic_->refuse(exchange, too_large("more"));
  body += bytes;
}

bool RequestFlow::finish(HttpExchange& exchange) {
  switch (traffic_->state_of(exchange)) {
    case HttpExchange::State::kReading:
      return handle(exchange);
    case HttpExchange::State::kHandling:
      return true;
    case HttpExchange::State::kAnswered:
      return queue(exchange);
    case HttpExchange::State::kDropped:
      return false;
  }
  return false;
}

bool RequestFlow::handle(HttpExchange& exchange) {
  if (!traffic_->start_handling(exchange)) return finish(exchange);
  std::optional<HttpResponse> failure;
  // An answer of another thread meanwhile does not end the exchange: its connection goes on in this
  // thread.
  try {
    exchange.route->handler(std::move(exchange.request),
                            HttpResponder(traffic_, exchange.shared_from_this()));
  } catch (const InputError& error) {
    failure = http_error(400, error.what());
  } catch (const std::exception& error) {
    log_error("http: {} failed: {}", exchange.route->path, error.what());
    failure = http_error(500, "the request failed; the server's log says why");
  } catch (...) {
    log_error("http: {} failed", exchange.route->path);
    failure = http_error(500, "the request failed");
  }
  traffic_->end_handling(exchange, std::move(failure));
  return true;
}

bool RequestFlow::queue(HttpExchange& exchange) {
  HttpResponse& answer = exchange.response;
  // PERSISTENT: the body stays in the exchange, which outlives the sending.
  MHD_Response* response = MHD_create_response_from_buffer(answer.body.size(), answer.body.data(),
                                                           MHD_RESPMEM_PERSISTENT);
  if (response == nullptr) return false;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
  for (const auto& [name, value] : answer.headers)
    MHD_add_response_header(response, name.c_str(), value.c_str());
  if (traffic_->draining()) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  const MHD_Result queued =
      MHD_queue_response(exchange.connection, static_cast<unsigned>(answer.status), response);
  MHD_destroy_response(response);
  if (queued == MHD_YES) traffic_->count_answer(answer.status);
  return queued == MHD_YES;
}

}  // namespace caprl
