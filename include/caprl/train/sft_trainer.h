// Supervised training on responses: warm starts, text LLMs, baselines.
#pragma once
#include <memory>
#include <string>

#include "caprl/dist/world.h"
#include "caprl/train/config.h"

namespace caprl {

/// Cross entropy of the responses' tokens, the end of the turn included; prompts are read, not
/// scored. Packed without padding.
class SftTrainer {
 public:
  SftTrainer(SftConfig config, const std::string& resume, World& world = World::alone());
  ~SftTrainer();
  void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
