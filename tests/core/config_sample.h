// A config with a field of every kind, for the tests.
#pragma once
#include "caprl/core/config.h"

namespace caprl {

enum class SampleSchedule { kConstant, kCosine };

struct SampleInner {
  std::string model = "models/a";
  double top_p = 1.0;
  void fields(ConfigVisitor& v) {
    v.field("model", model, "its directory");
    v.field("top_p", top_p, "nucleus | top-p", Range{0, 1});
  }
  bool operator==(const SampleInner&) const = default;
};

struct SampleRollout {
  int64_t n = 8;
  double temperature = 1.0;
  std::optional<int64_t> top_k;
  std::optional<double> min_p = 0.5;
  SampleInner answerer;
  std::vector<double> weights = {1, 0.1};
  void fields(ConfigVisitor& v) {
    v.field("n", n, "captions per image", Range{1, 4096});
    v.field("temperature", temperature, "of sampling", Range{.min = 0});
    v.field("top_k", top_k, "most likely tokens", Range{1, 1e6});
    v.field("min_p", min_p, "least share", Range{.max = 1});
    v.section("answerer", answerer, "the frozen LLM");
    v.field("weights", weights, "of rewards", Range{0, 10});
  }
  bool operator==(const SampleRollout&) const = default;
};

struct SampleConfig {
  std::string name;
  bool shuffle = true;
  int64_t steps = 1000;
  double lr = 1e-6;
  std::vector<std::string> files;
  SampleSchedule schedule = SampleSchedule::kConstant;
  SampleRollout rollout;
  void fields(ConfigVisitor& v) {
    v.field("name", name, "of the run");
    v.field("shuffle", shuffle, "rows in random order");
    v.field("steps", steps, "of training");
    v.field("lr", lr, "learning rate");
    v.field("files", files, "of rows");
    v.choice("schedule", schedule,
             {{"constant", SampleSchedule::kConstant}, {"cosine", SampleSchedule::kCosine}},
             "of the learning rate");
    v.section("rollout", rollout, "sampling captions");
  }
  bool operator==(const SampleConfig&) const = default;
};

}  // namespace caprl
