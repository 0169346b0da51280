#include "caprl/http/client.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"
#include "caprl/core/pulse.h"
#include "caprl/http/message.h"

namespace caprl {
namespace {

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;

struct FreeHeaders {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

/// While it lives, SIGPIPE does not reach this thread: OpenSSL writes to sockets without care.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    if (::sigismember(&before_, SIGPIPE) == 1) return;
    const timespec now{};
    while (::sigtimedwait(&pipe_, nullptr, &now) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

struct Body {
  std::string bytes;
  size_t most;
  bool too_large = false;
};

size_t take_bytes(char* bytes, size_t, size_t count, void* context) {
  auto& body = *static_cast<Body*>(context);
  if (body.bytes.size() + count > body.most) {
    body.too_large = true;
    return 0;  // ends the transfer
  }
  body.bytes.append(bytes, count);
  return count;
}

HttpFailure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return HttpFailure::kResolve;
    case CURLE_COULDNT_CONNECT:
      return HttpFailure::kConnect;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFailure::kTimeout;
    case CURLE_FILESIZE_EXCEEDED:
      return HttpFailure::kTooLarge;
    default:
      return HttpFailure::kBroken;
  }
}

void check_url(const std::string& url) {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    throw InputError("expected a URL that begins with http:// or https://, got \"{}\"", url);
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0);
  if (code != CURLUE_OK)
    throw InputError("expected a URL, got \"{}\" ({})", url, curl_url_strerror(code));
}

long milliseconds(double seconds) {
  return static_cast<long>(std::ceil(std::max(seconds, 0.001) * 1000));
}

}  // namespace

struct HttpClient::Impl {
  explicit Impl(const HttpClientConfig& config)
      : config(config), token(read_bearer_token(config.token_env, config.token_file)) {
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);  // thread-safe: static
    if (global != CURLE_OK) throw Error("libcurl cannot be set up: {}", curl_easy_strerror(global));
  }

  Handle take();
  void give_back(Handle handle);
  void set_up(CURL* handle, const std::string& url, double timeout_s, Body& body, char* message);
  HttpResult run(const std::string& url, const std::string_view* json,
                 std::optional<double> at_most_s);

  const HttpClientConfig config;
  const std::string token;
  std::mutex mutex;
  std::vector<Handle> idle;  // each with its open connections
};

Handle HttpClient::Impl::take() {
  {
    const std::lock_guard lock(mutex);
    if (!idle.empty()) {
      Handle handle = std::move(idle.back());
      idle.pop_back();
      return handle;
    }
  }
  Handle handle(curl_easy_init());
  if (!handle) throw Error("libcurl has no memory for a request");
  return handle;
}

void HttpClient::Impl::give_back(Handle handle) {
  curl_easy_reset(handle.get());  // keeps its connections
  const std::lock_guard lock(mutex);
  idle.push_back(std::move(handle));
}

void HttpClient::Impl::set_up(CURL* handle, const std::string& url, double timeout_s, Body& body,
                              char* message) {
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);  // timeouts without SIGALRM
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, milliseconds(timeout_s));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   milliseconds(std::min(timeout_s, config.connect_timeout_s)));
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  if (!config.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, config.ca_file.c_str());
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &take_bytes);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(body.most));
}

HttpResult HttpClient::Impl::run(const std::string& url, const std::string_view* json,
                                 std::optional<double> at_most_s) {
  check_url(url);
  Handle handle = take();
  const WithoutSigpipe without_sigpipe;
  Body body{{}, static_cast<size_t>(config.max_response_mb) << 20};
  char message[CURL_ERROR_SIZE] = "";
  set_up(handle.get(), url, std::min(config.timeout_s, at_most_s.value_or(config.timeout_s)), body,
         message);
  Headers headers(curl_slist_append(nullptr, "Accept: application/json"));
  const auto add_header = [&](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  if (!token.empty()) add_header("Authorization: Bearer " + token);
  if (json != nullptr) {
    add_header("Content-Type: application/json");
    curl_easy_setopt(handle.get(), CURLOPT_POST, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, json->empty() ? "" : json->data());
    curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(json->size()));
  }
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());

  const CURLcode code = [&] {
    const Waiting waiting;
    return curl_easy_perform(handle.get());
  }();
  HttpResult result;
  if (code == CURLE_OK) {
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &retry_after);
    result.status = static_cast<int>(status);
    result.retry_after_s = static_cast<double>(std::max<curl_off_t>(0, retry_after));
    result.body = std::move(body.bytes);
  } else {
    result.failure = body.too_large ? HttpFailure::kTooLarge : failure_of(code);
    result.message =
        result.failure == HttpFailure::kTooLarge
            ? fmt::format("{}: the answer is longer than {} MB", url, config.max_response_mb)
            : fmt::format("{}: {}", url, message[0] ? message : curl_easy_strerror(code));
  }
  give_back(std::move(handle));
  return result;
}

std::string HttpResult::describe() const {
  if (failure) return message;
  return fmt::format("status {}: {}", status, excerpt(body, 300));
}

HttpClient::HttpClient(const HttpClientConfig& config) : impl_(std::make_unique<Impl>(config)) {}

HttpClient::~HttpClient() = default;

HttpResult HttpClient::get(const std::string& url, std::optional<double> at_most_s) {
  return impl_->run(url, nullptr, at_most_s);
}

HttpResult HttpClient::post(const std::string& url, std::string_view json,
                            std::optional<double> at_most_s) {
  return impl_->run(url, &json, at_most_s);
}

}  // namespace caprl
