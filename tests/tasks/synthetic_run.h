// A run folder as `caprl train` leaves it, without training.
#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"

namespace caprl {

/// Numbers without a pattern, the same in every run of the test.
inline double noise(int64_t i) { return static_cast<double>((i * 2654435761) % 1000003) / 1000003; }

inline std::vector<nlohmann::json> parsed_lines(const std::filesystem::path& file) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, file.string()));
  return lines;
}

struct SyntheticRun {
  std::filesystem::path folder;
  int64_t steps = 5, total_steps = 5;
  int64_t groups = 2, captions = 3, tokens = 4;
  std::string image = "/nowhere/picture.png";

  /// One step's captions for every step: quick for many.
  void write_alike() const {
    SyntheticRun first = *this;
    first.steps = 1;
    first.write();
    std::string text;
    for (const nlohmann::json& record : records(1)) text += record.dump() + "\n";
    std::ofstream lines(folder / "metrics.jsonl");
    for (int64_t step = 1; step <= steps; ++step) {
      lines << metrics_line(step).dump() << "\n";
      std::string captions = text;
      const std::string mark = "\"step\":1,", name = fmt::format("\"step\":{},", step);
      for (size_t at = 0; (at = captions.find(mark, at)) != std::string::npos; at += name.size())
        captions.replace(at, mark.size(), name);
      std::ofstream(rollouts(step)) << captions;
    }
  }

  void write() const {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.yaml")
        << fmt::format("run:\n  dir: here\n  seed: 7\ntrain:\n  total_steps: {}\n", total_steps);
    std::ofstream lines(folder / "metrics.jsonl");
    for (int64_t step = 1; step <= steps; ++step) {
      lines << metrics_line(step).dump() << "\n";
      write_jsonl_zst(rollouts(step), records(step));
    }
  }

  std::filesystem::path rollouts(int64_t step) const {
    return folder / "rollouts" / fmt::format("step_{:06}.jsonl.zst", step);
  }

  static nlohmann::json metrics_line(int64_t step) {
    nlohmann::json line = {{"step", step}};
    for (const char* name :
         {"critic/rewards/mean", "reward_std", "reward/accuracy", "response_length/mean",
          "actor/kl_loss", "actor/entropy", "actor/pg_clipfrac", "actor/grad_norm", "timing_s/gen",
          "timing_s/reward", "timing_s/step", "perf/throughput", "perf/max_memory_allocated_gb",
          "training/rollout_probs_diff_max", "reward/novelty", "a metric of tomorrow"})
      line[name] = noise(step * 131 + static_cast<int64_t>(std::string(name).size()));
    for (int i = 0; i < 30; ++i) line[fmt::format("perf/further_{}", i)] = noise(step * 37 + i);
    if (step % 2 == 0) line["val/reward/mean"] = noise(step * 17);
    return line;
  }

  nlohmann::json record(int64_t step, int64_t group, int64_t sample) const {
    std::string text;
    nlohmann::json ids = nlohmann::json::array(), bytes = ids, logprobs = ids;
    for (int64_t t = 0; t < tokens; ++t) {
      const std::string word = fmt::format(" word{}", (step + group + sample + t) % 97);
      text += word;
      ids.push_back(t);
      bytes.push_back(word.size());
      logprobs.push_back(-3 * noise(step * 1000 + sample * 100 + t));
    }
    nlohmann::json answers = nlohmann::json::array();
    for (int q = 0; q < 2; ++q)
      answers.push_back({{"question", q},
                         {"order", {0, 1}},
                         {"asked", fmt::format("What is {}?\nA) red\nB) blue\nE) not said", q)},
                         {"labels", "ABE"},
                         {"right", "B"},
                         {"abstain", "E"},
                         {"given", sample == 0 ? "B"
                                   : q == 0    ? "A"
                                               : "E"},
                         {"output", "The B"},
                         {"valid", true},
                         {"right_probability", 0.75}});
    return {{"step", step},
            {"id", fmt::format("picture-{}", group)},
            {"prompt_id", step * groups + group},
            {"row", "train.jsonl:1"},
            {"image", image},
            {"sample", sample},
            {"caption", text},
            {"response_ids", ids},
            {"token_bytes", bytes},
            {"logprobs", logprobs},
            {"stopped", sample != 1},
            {"num_right", sample == 0 ? 2 : 0},
            {"num_asked", 2},
            {"terms", nlohmann::json::object()},
            {"reward", sample == 0 ? 1.0 : 0.0},
            {"advantage", sample == 0 ? 1.5 : -0.5},
            {"answers", answers}};
  }

  std::vector<nlohmann::json> records(int64_t step) const {
    std::vector<nlohmann::json> lines;
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t s = 0; s < captions; ++s) lines.push_back(record(step, g, s));
    return lines;
  }
};

/// The data inside a page.
inline nlohmann::json data_of(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const size_t place = page.find(begin);
  if (place == std::string::npos) {
    ADD_FAILURE() << "no data in the page";
    return {};
  }
  const size_t first = place + begin.size();
  return parse_json(page.substr(first, page.find("</script>", first) - first), "the page's data");
}

/// Every value of metrics.jsonl is in the page's run, and nothing else.
inline void expect_same_numbers(const std::vector<nlohmann::json>& lines,
                                const nlohmann::json& run) {
  ASSERT_EQ(run.at("steps").size(), lines.size());
  size_t values = 0, expected = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(run.at("steps")[i], lines[i].at("step"));
    for (const auto& [name, value] : lines[i].items()) {
      if (name == "step") continue;
      ++expected;
      EXPECT_EQ(run.at("metrics").at(name).at(i), value) << name;
    }
  }
  for (const auto& [name, column] : run.at("metrics").items()) {
    EXPECT_EQ(column.size(), lines.size()) << name;
    for (const auto& value : column) values += !value.is_null();
  }
  EXPECT_EQ(values, expected);
}

}  // namespace caprl
