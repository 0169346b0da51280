// Work that other machines do, over HTTP.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/http/client.h"

namespace caprl {

/// Servers that do the same, and how to ask them.
struct ServersConfig {
  std::vector<std::string> url;  // "http://host:port"; empty: none
  int64_t captions_per_request = 64;
  int64_t requests_per_server = 2;
  HttpClientConfig client;
  HttpRetryConfig retry;
  void fields(ConfigVisitor& v);
};

/// Asks several servers at a time. A request that one of them fails goes to the next one; a server
/// that failed is left alone for a while if others are well.
class ServerPool {
 public:
  /// `section` names the config section in messages. InputError for what is no URL and for a token
  /// that cannot be read. Nothing is sent yet.
  ServerPool(const ServersConfig& config, std::string section, uint64_t seed);
  ~ServerPool();

  /// GET `path` of each server. Error if none answers; those that do not are logged.
  /// [servers], the answer's body, empty of those that do not answer.
  std::vector<std::string> check(const std::string& path);
  /// POST each of `bodies` to some server; results in their order, after retries.
  std::vector<HttpResult> post(const std::string& path, const std::vector<std::string>& bodies);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
