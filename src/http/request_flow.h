// What happens to a request: libmicrohttpd's callbacks.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "traffic.h"

struct MHD_Connection;

namespace caprl {

/// Called on the I/O threads; each connection stays with one of them.
class RequestFlow {
 public:
  RequestFlow(const HttpServerConfig& config, std::vector<HttpRoute> routes, std::string token,
              std::shared_ptr<HttpTraffic> traffic);

  /// The three calls of a request. False: the connection is to be closed.
  HttpExchange* begin(MHD_Connection* connection, std::string_view method, std::string_view path);
  void receive(HttpExchange& exchange, std::string_view bytes);
  bool finish(HttpExchange& exchange);

  HttpTraffic& traffic() { return *traffic_; }

 private:
  std::optional<HttpResponse> refusal(HttpExchange& exchange, std::string_view method,
                                      std::string_view path) const;
  std::optional<HttpResponse> body_refusal(MHD_Connection* connection) const;
  HttpResponse too_large(std::string_view got) const;
  bool handle(HttpExchange& exchange);
  bool queue(HttpExchange& exchange);

  const size_t max_body_;
  const int64_t max_body_mb_;
  const std::vector<HttpRoute> routes_;
  const std::string token_;
  const std::shared_ptr<HttpTraffic> traffic_;
};

}  // namespace caprl
