// `caprl export`: checkpoints of whole weights and of adapters.
#include <ATen/ATen.h>

#include <set>

#include "caprl/models/lora.h"
#include "caprl/train/sft_trainer.h"
#include "support.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Export : public TinyRun {
 protected:
  static void SetUpTestSuite() {
    TinyRun::SetUpTestSuite();
    SftTrainer(sft("whole", "answerer", 1), "auto").run();
    SftConfig config = sft("adapted", "answerer", 3);
    config.policy.lora.rank = 4;
    config.optimizer.lr = 1e-2;
    SftTrainer(config, "auto").run();
  }
  static Outcome run(const fs::path& checkpoint, const std::string& out,
                     std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"export", "--checkpoint", checkpoint, "--out", path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caprl(std::move(arguments));
  }
  static std::set<std::string> files(const std::string& name) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(path(name)))
      names.insert(entry.path().filename());
    return names;
  }
};

TEST_F(Export, CopiesWholeWeights) {
  const Outcome outcome = run(checkpoint("whole", 1), "copied");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, path("copied") + ": the model of step 1\n");
  EXPECT_EQ(hash_file(path("copied") + "/model.safetensors"),
            hash_file(checkpoint("whole", 1) / "model/model.safetensors"));
}

TEST_F(Export, MergesAdapters) {
  const Outcome outcome = run(checkpoint("adapted", 3), "merged");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            path("merged") + ": the model of step 3, its adapter merged into the weights\n");
  EXPECT_EQ(files("merged"), files("answerer"));
  const auto base = weights(path("answerer")), merged = weights(path("merged"));
  const SafetensorsFile adapter(checkpoint("adapted", 3) / "model" / kAdapterWeights);
  size_t changed = 0;
  for (const auto& [name, before] : base) {
    const std::string prefix =
        "base_model.model." + name.substr(0, name.size() - std::string("weight").size());
    const at::Tensor& after = merged.at(name);
    EXPECT_EQ(after.scalar_type(), before.scalar_type()) << name;
    if (!adapter.contains(prefix + "lora_A.weight")) {
      EXPECT_TRUE(at::equal(after, before)) << name;
      continue;
    }
    const at::Tensor a = adapter.tensor(prefix + "lora_A.weight").to(at::kDouble);
    const at::Tensor b = adapter.tensor(prefix + "lora_B.weight").to(at::kDouble);
    EXPECT_TRUE(at::allclose(after.to(at::kDouble), before + 16.0 / 4 * b.matmul(a), 0, 1e-6))
        << name;
    EXPECT_FALSE(at::equal(after, before)) << name;
    ++changed;
  }
  EXPECT_EQ(2 * changed, adapter.entries().size());
}

TEST_F(Export, TheAdapterAlone) {
  const Outcome outcome = run(checkpoint("adapted", 3), "alone", {"--adapter"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(files("alone"), (std::set<std::string>{kAdapterConfig, kAdapterWeights}));
}

TEST_F(Export, ABaseThatHasMovedIsNamed) {
  fs::copy(path("answerer"), path("elsewhere"));
  SftConfig config = sft("moved", "answerer", 1);
  config.policy.model = path("elsewhere");
  config.policy.lora.rank = 4;
  SftTrainer(config, "auto").run();
  fs::rename(path("elsewhere"), path("here"));
  const Outcome refused = run(checkpoint("moved", 1), "found");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("base_model_name_or_path is \"" + path("elsewhere")));
  EXPECT_FALSE(fs::exists(path("found")));
  EXPECT_FALSE(fs::exists(path("found.tmp")));
  EXPECT_EQ(run(checkpoint("moved", 1), "found", {"--base-model", path("here")}).exit_code, 0);
  EXPECT_EQ(files("found"), files("here"));
}

TEST_F(Export, RefusesWhatMakesNoSense) {
  const Outcome whole = run(checkpoint("whole", 1), "refused", {"--adapter"});
  EXPECT_EQ(whole.exit_code, 2);
  EXPECT_THAT(whole.err, HasSubstr("are for a checkpoint with an adapter, which this one has not"));
  EXPECT_EQ(
      run(checkpoint("adapted", 3), "refused", {"--adapter", "--base-model", path("answerer")})
          .exit_code,
      2);
  EXPECT_FALSE(fs::exists(path("refused")));
}

}  // namespace
}  // namespace caprl
