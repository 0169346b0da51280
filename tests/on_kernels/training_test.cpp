// Whole training steps on kernels beside the composed ones.
#include "caprl/train/grpo_trainer.h"
#include "on_kernels/switch.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

class TrainingOnKernels : public TinyRun {};

TEST_F(TrainingOnKernels, TwoStepsOfGrpo) {
  const auto train = [](const std::string& name) {
    GrpoConfig config = grpo(name, 2);
    config.run.device = current_device().str();
    config.algorithm.use_kl_loss = true;
    GrpoTrainer(config, "never").run();
    return metrics(name, true);
  };
  const auto composed = train("composed");
  std::vector<nlohmann::json> on_kernels;
  {
    const OnKernels on;
    on_kernels = train("on_kernels");
  }
  ASSERT_EQ(on_kernels.size(), composed.size());
  for (size_t step = 0; step < composed.size(); ++step)
    for (const auto& [name, value] : composed[step].items())
      EXPECT_NEAR(on_kernels[step].at(name).get<double>(), value.get<double>(),
                  1e-5 + 1e-4 * std::abs(value.get<double>()))
          << name << " of step " << step;
  // AdamW moves a weight whose gradient is all rounding as far as any other: norms, not maxima.
  const auto before = weights(path("captioner"));
  const auto expected = weights("composed", 2), got = weights("on_kernels", 2);
  for (const auto& [name, tensor] : expected)
    EXPECT_LE((got.at(name) - tensor).norm().item<double>(),
              0.02 * (tensor - before.at(name)).norm().item<double>())
        << name;
}

/// The first layer's input has no gradient, and only adapters are trained.
TEST_F(TrainingOnKernels, TwoStepsOfGrpoWithAdapters) {
  const auto train = [](const std::string& name) {
    GrpoConfig config = grpo(name, 2);
    config.run.device = current_device().str();
    config.policy.train = TrainedParts::kLanguage;
    config.policy.lora.rank = 4;
    config.algorithm.use_kl_loss = true;
    GrpoTrainer(config, "never").run();
    return metrics(name, true);
  };
  const auto composed = train("adapters_composed");
  std::vector<nlohmann::json> on_kernels;
  {
    const OnKernels on;
    on_kernels = train("adapters_on_kernels");
  }
  EXPECT_EQ(on_kernels.at(0).at("actor/kl_loss"), 0.0);
  ASSERT_EQ(on_kernels.size(), composed.size());
  for (size_t step = 0; step < composed.size(); ++step)
    for (const auto& [name, value] : composed[step].items())
      EXPECT_NEAR(on_kernels[step].at(name).get<double>(), value.get<double>(),
                  1e-5 + 1e-4 * std::abs(value.get<double>()))
          << name << " of step " << step;
}

}  // namespace
}  // namespace caprl
