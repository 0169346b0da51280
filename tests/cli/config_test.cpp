// The configs that the repository ships, and the page about them.
#include <gtest/gtest.h>

#include "caprl/core/files.h"
#include "caprl/reward/server.h"
#include "caprl/tasks/caption.h"
#include "caprl/tasks/eval.h"
#include "caprl/tasks/qa.h"
#include "caprl/train/config.h"
#include "support.h"

namespace caprl {
namespace {

const std::filesystem::path kRepository = CAPRL_SOURCE_DIR;

template <class Config>
void expect_valid(const std::filesystem::path& file) {
  SCOPED_TRACE(file);
  Config config;
  load_config(file, {}, config);
  config.validate();
}

TEST(Configs, AllAreValid) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRepository / "configs")) {
    if (entry.path().stem().string().ends_with("_sft") ||
        entry.path().stem().string().starts_with("pretrain_"))
      expect_valid<SftConfig>(entry.path());
    else if (entry.path().stem().string().starts_with("caption_"))
      expect_valid<CaptionConfig>(entry.path());
    else if (entry.path().stem().string().starts_with("qa_"))
      expect_valid<QaConfig>(entry.path());
    else if (entry.path().stem().string().find("eval") != std::string::npos)
      expect_valid<PrismConfig>(entry.path());
    else if (entry.path().stem().string().starts_with("serve_reward_"))
      expect_valid<RewardServerConfig>(entry.path());
    else
      expect_valid<GrpoConfig>(entry.path());
    ++count;
  }
  EXPECT_GE(count, 8);
}

TEST(Configs, ThePageAboutThemIsTheirs) {
  EXPECT_EQ(caprl({"config", "docs"}).out, read_file(kRepository / "docs/CONFIG.md"))
      << "run: build/cpu/bin/caprl config docs > docs/CONFIG.md";
}

}  // namespace
}  // namespace caprl
