#include "caprl/reward/servers.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "caprl/core/error.h"
#include "caprl/core/log.h"

namespace caprl {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRest = std::chrono::seconds(10);  // of a server that failed

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

void ServersConfig::fields(ConfigVisitor& v) {
  v.field("url", url,
          "servers that share the work (caprl serve-reward, or of your own), http://host:port or "
          "https://…; "
          "empty: none");
  v.field("captions_per_request", captions_per_request, "captions sent at a time",
          Range{1, 100000});
  v.field("requests_per_server", requests_per_server, "requests that a server gets at a time",
          Range{1, 1000});
  v.section("client", client, "connections");
  v.section("retry", retry, "requests that fail");
}

struct ServerPool::Impl {
  ServersConfig config;
  std::string section;
  HttpClient client;
  CounterRng random;
  std::mutex mutex;                        // of what follows
  std::vector<Clock::time_point> well_at;  // when a server may be asked again
  uint64_t next_call = 0;

  Impl(const ServersConfig& given, std::string name, uint64_t seed)
      : config(given),
        section(std::move(name)),
        client(given.client),
        random(seed, RandomPurpose::kHttpRetry, {}),
        well_at(given.url.size()) {
    for (std::string& url : config.url) {
      url = without_slash(url);
      if (!url.starts_with("http://") && !url.starts_with("https://"))
        throw InputError("config: '{}.url': expected http://host:port or https://…, got '{}'",
                         section, url);
    }
  }

  /// The server whose turn it is, or the next one that is well, if any is.
  size_t choose(size_t turn) {
    const std::lock_guard lock(mutex);
    const size_t count = config.url.size();
    for (size_t i = 0; i < count; ++i)
      if (well_at[(turn + i) % count] <= Clock::now()) return (turn + i) % count;
    return turn % count;
  }

  HttpResult post(const std::string& path, const std::string& body, size_t turn, uint64_t call) {
    size_t attempt = 0;
    return retry_http(config.retry, random, call, [&](double left) {
      const size_t server = choose(turn + attempt++);
      HttpResult result = client.post(config.url[server] + path, body, left);
      const std::lock_guard lock(mutex);
      well_at[server] = result.ok() ? Clock::time_point() : Clock::now() + kRest;
      return result;
    });
  }
};

ServerPool::ServerPool(const ServersConfig& config, std::string section, uint64_t seed)
    : impl_(std::make_unique<Impl>(config, std::move(section), seed)) {}
ServerPool::~ServerPool() = default;

std::vector<std::string> ServerPool::check(const std::string& path) {
  std::vector<std::string> answers;
  std::string troubles;
  int64_t num_well = 0;
  for (const std::string& url : impl_->config.url) {
    const HttpResult result = impl_->client.get(url + path);
    answers.push_back(result.ok() ? result.body : "");
    num_well += result.ok();
    if (result.ok()) continue;
    log_warning("{}: {}", impl_->section, result.describe());
    troubles = result.describe();
  }
  if (num_well == 0)
    throw Error("config: '{}.url': none of {} servers answers; the last one: {}", impl_->section,
                answers.size(), troubles);
  return answers;
}

std::vector<HttpResult> ServerPool::post(const std::string& path,
                                         const std::vector<std::string>& bodies) {
  std::vector<HttpResult> results(bodies.size());
  std::atomic<size_t> next = 0;
  uint64_t first_call = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    first_call = impl_->next_call;
    impl_->next_call += bodies.size();
  }
  const auto work = [&] {
    for (size_t i; (i = next++) < bodies.size();)
      results[i] = impl_->post(path, bodies[i], i, first_call + i);
  };
  const size_t at_a_time =
      impl_->config.url.size() * static_cast<size_t>(impl_->config.requests_per_server);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < std::min(at_a_time, bodies.size()); ++i) threads.emplace_back(work);
  }
  return results;
}

}  // namespace caprl
