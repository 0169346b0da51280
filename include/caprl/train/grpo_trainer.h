// Group relative policy optimisation of a captioner (CapRL, arXiv 2509.22647; GRPO, arXiv
// 2402.03300).
#pragma once
#include <memory>
#include <string>

#include "caprl/dist/world.h"
#include "caprl/train/config.h"

namespace caprl {

class GrpoTrainer {
 public:
  /// Loads models and data. InputError for anything wrong with them. `resume`: auto, never, or a
  /// checkpoint's folder. Every process of `world`, which must outlive this, makes the same
  /// trainer. So many steps after the first one are traced, each rank's to a file of its own
  /// RUN/trace/step_STEP_rank_RANK.json.
  GrpoTrainer(GrpoConfig config, const std::string& resume, World& world = World::alone(),
              int64_t traced_steps = 0);
  ~GrpoTrainer();

  /// Trains up to train.total_steps, saving and evaluating as configured.
  void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
