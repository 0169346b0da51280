// An HTTP client for JSON, with retries.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "caprl/core/config.h"
#include "caprl/core/philox.h"

namespace caprl {

struct HttpClientConfig {
  double timeout_s = 600;
  double connect_timeout_s = 10;
  int64_t max_response_mb = 64;
  std::string token_env;
  std::string token_file;
  std::string ca_file;
  void fields(ConfigVisitor& v);
};

/// Why there is no answer.
enum class HttpFailure {
  kResolve,   // the host's name is not known
  kConnect,   // nobody listens there, or the way there is barred
  kTimeout,   // connecting or the whole exchange took too long
  kTooLarge,  // the answer is longer than max_response_mb
  kBroken,    // the connection broke, its certificate is not trusted, or it is no HTTP
};

/// An answer, whatever its status, or a failure.
struct HttpResult {
  std::optional<HttpFailure> failure;
  std::string message;  // of a failure: one sentence with the URL
  int status = 0;       // of an answer
  std::string body;
  double retry_after_s = 0;  // the answer's Retry-After; 0: none
  int64_t attempts = 1;

  /// An answer of status 2xx.
  bool ok() const { return !failure && status >= 200 && status < 300; }
  /// A failure's message, or of an answer its status and the beginning of its body.
  std::string describe() const;
};

/// Sends requests to http:// and https:// URLs and keeps connections for the next ones. Redirects
/// are not followed. Thread-safe; every call uses a connection of its own. Never raises SIGPIPE.
class HttpClient {
 public:
  /// Throws InputError if the token cannot be read.
  explicit HttpClient(const HttpClientConfig& config);
  ~HttpClient();

  /// Wait for the answer, timeout_s or `at_most_s` seconds, whichever is less. Faults of network
  /// and server are results; throw InputError for what is no http:// or https:// URL.
  HttpResult get(const std::string& url, std::optional<double> at_most_s = {});
  HttpResult post(const std::string& url, std::string_view json,
                  std::optional<double> at_most_s = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct HttpRetryConfig {
  int64_t max_attempts = 6;
  double first_delay_s = 0.5;
  double max_delay_s = 30;
  double deadline_s = 900;
  void fields(ConfigVisitor& v);
};

/// Calls attempt(seconds left) until its result is no passing trouble: kResolve, kConnect,
/// kTimeout, 429, 502, 503 or 504. Waits between attempts a uniform part of first_delay_s, twice
/// that, … at most max_delay_s, after the answer's Retry-After; the parts are random.uniform(id,
/// attempt). Gives the last result when attempts or time are used up, when the wait would be past
/// the deadline, and when a signal asks the process to stop. Attempts are logged at debug level.
///   retry_http(config, random, id, [&](double left) { return client.post(url, body, left); })
HttpResult retry_http(const HttpRetryConfig& config, const CounterRng& random, uint64_t id,
                      const std::function<HttpResult(double)>& attempt);

}  // namespace caprl
