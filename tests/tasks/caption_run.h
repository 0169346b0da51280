// `caprl caption` in a test: the demonstration's world and an untrained captioner.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caprl/tasks/caption.h"
#include "support/tiny_run.h"

namespace caprl {

class CaptionImages : public TinyRun {
 protected:
  static CaptionConfig config(const std::string& name) {
    CaptionConfig config;
    config.run.dir = path(name);
    config.run.threads = 1;
    config.captioner.model = path("captioner");
    config.captioner.dtype = "float32";
    config.data.files = {path("world/train.jsonl")};
    config.sampling.response_length = 6;
    return config;
  }
  /// Lines by index, once each.
  static std::map<int64_t, nlohmann::json> captions(const std::string& run,
                                                    const std::string& file = "captions.jsonl") {
    std::map<int64_t, nlohmann::json> result;
    for (const nlohmann::json& line : lines(folder_ / run / file)) {
      const auto [place, is_new] = result.emplace(line.at("index").get<int64_t>(), line);
      EXPECT_TRUE(is_new) << "captioned twice: " << line;
    }
    return result;
  }
};

}  // namespace caprl
