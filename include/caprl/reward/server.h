// The reward as a service: `caprl serve-reward`.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/http/server.h"
#include "caprl/reward/presets.h"
#include "caprl/reward/reward.h"

namespace caprl {

struct RewardServerRunConfig {
  int64_t seed = 1;
  std::string device = "auto";
  int64_t threads = 0;
  void fields(ConfigVisitor& v);
};

struct RewardServerConfig {
  Preset preset = Preset::kNone;
  RewardServerRunConfig run;
  RewardConfig reward;
  HttpServerConfig server;
  int64_t max_batch_captions = 1024;
  double batch_wait_ms = 2;
  void fields(ConfigVisitor& v);
  std::vector<PresetValue> preset_values() const;
  /// Conditions between keys; InputError names both.
  void validate() const;
};

/// POST /get_reward: the published wire format. {"prompts": [[caption, [[question with choices,
/// answer letter], …]], …]} → {"rewards": [number or null, …]}, null where no answer was valid. A
/// request's rewards depend on its content alone: asking again gives the same ones.
/// POST /answer: questions as a trainer with `reward.answerer.url` puts them.
/// GET /health (200; open to all) and GET /metrics (Prometheus).
/// Errors are {"error": {"message", "status"}}.
class RewardServer {
 public:
  /// Loads the answerer and listens. InputError for a bad config, model or address.
  RewardServer(RewardServerConfig config, at::Device device);
  ~RewardServer();

  std::string url() const;
  /// Accepts nothing more, finishes what was accepted, and returns.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
