#include "caprl/http/client.h"
#include "caprl/http/server.h"

namespace caprl {

void HttpServerConfig::fields(ConfigVisitor& v) {
  v.field("host", host, "address to listen on; 0.0.0.0 or :: for all of this machine's");
  v.field("port", port, "port to listen on; 0: any free one", Range{0, 65535});
  v.field("threads", threads, "threads that read requests and send answers", Range{1, 64});
  v.field("max_connections", max_connections, "open connections; further ones get 503",
          Range{1, 1'000'000});
  v.field("max_requests", max_requests,
          "requests that wait for their answers; further ones get 503", Range{1, 1'000'000});
  v.field("max_body_mb", max_body_mb, "megabytes (2^20 bytes) of a request's body", Range{1, 4096});
  v.field("read_timeout_s", read_timeout_s, "seconds for a whole request to arrive",
          Range{0.01, 86400});
  v.field("idle_timeout_s", idle_timeout_s, "seconds that a connection may stay without a request",
          Range{0.01, 86400});
  v.field("shutdown_timeout_s", shutdown_timeout_s,
          "seconds that requests in progress get when the server stops", Range{0, 86400});
  v.field("token_env", token_env,
          "environment variable with the bearer token that requests must carry; empty: none");
  v.field("token_file", token_file, "file with that token, in place of token_env");
}

void HttpClientConfig::fields(ConfigVisitor& v) {
  v.field("timeout_s", timeout_s, "seconds for a request and its answer", Range{0.01, 86400});
  v.field("connect_timeout_s", connect_timeout_s, "seconds for connecting", Range{0.01, 86400});
  v.field("max_response_mb", max_response_mb, "megabytes (2^20 bytes) of an answer's body",
          Range{1, 4096});
  v.field("token_env", token_env,
          "environment variable with the bearer token to send; empty: none");
  v.field("token_file", token_file, "file with that token, in place of token_env");
  v.field("ca_file", ca_file,
          "PEM file of the certificates to trust with https; empty: the system's");
}

void HttpRetryConfig::fields(ConfigVisitor& v) {
  v.field("max_attempts", max_attempts, "attempts in all", Range{1, 1000});
  v.field("first_delay_s", first_delay_s,
          "seconds before the second attempt at most; doubles with each further one",
          Range{0, 86400});
  v.field("max_delay_s", max_delay_s, "seconds that the doubling ends at", Range{0, 86400});
  v.field("deadline_s", deadline_s, "seconds for all attempts and waits together",
          Range{0.01, 7 * 86400.0});
}

}  // namespace caprl
