// caprl config show, explain, diff and schema.
#include <gmock/gmock.h>

#include "caprl/core/config_keys.h"
#include "caprl/core/files.h"
#include "caprl/reward/server.h"
#include "caprl/tasks/caption.h"
#include "caprl/tasks/eval.h"
#include "caprl/tasks/qa.h"
#include "caprl/train/config.h"
#include "support.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string shipped(const std::string& name) {
  return std::string(CAPRL_SOURCE_DIR) + "/configs/" + name;
}

TEST(ConfigShow, WritesWhatReadsBackToTheSame) {
  const TempFolder folder;
  EXPECT_EQ(caprl({"config", "show"}).out, config_to_yaml(GrpoConfig()));
  const Outcome shown = caprl({"config", "show", shipped("grpo_3b.yaml"), "--set", "rollout.n=3"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  const auto file = folder.path() / "shown.yaml";
  write_file_atomic(file, shown.out);
  GrpoConfig config;
  load_config(file, {}, config);
  EXPECT_EQ(config.rollout.n, 3);
  EXPECT_EQ(config_to_yaml(config), shown.out);
  EXPECT_EQ(caprl({"config", "show", "--for", "caption"}).out, config_to_yaml(CaptionConfig()));
}

TEST(ConfigShow, RefusesWhatItCannotDo) {
  const Outcome alone = caprl({"config", "show", "--set", "rollout.n=3"});
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.err, HasSubstr("--set needs a config file to change"));
  EXPECT_EQ(caprl({"config", "show", "missing.yaml"}).exit_code, 2);
  EXPECT_EQ(caprl({"config", "show", "--for", "nobody"}).exit_code, 2);
}

TEST(ConfigExplain, KeysAndSections) {
  EXPECT_EQ(caprl({"config", "explain", "reward.qa_num"}).out,
            "reward.qa_num: questions per caption with with_replacement\n"
            "  integer, 1 to 10000; default 8\n"
            "  presets: release 8, paper 8, capRL++ 8 (server: qa_num; the paper's ablation is "
            "flat from 4 on)\n");
  const std::string section = caprl({"config", "explain", "checkpoint"}).out;
  EXPECT_THAT(section, testing::StartsWith("checkpoint: "));
  EXPECT_THAT(section, HasSubstr("\ncheckpoint.save_freq: steps between checkpoints; the last "
                                 "step is always saved\n  integer, 1 to 1000000000; default 50\n"));
  EXPECT_THAT(section, testing::Not(HasSubstr("rollout")));
  EXPECT_THAT(caprl({"config", "explain", "server.port", "--for", "serve-reward"}).out,
              HasSubstr("integer, 0 to 65535; default 0"));
}

TEST(ConfigExplain, FindsTheCommandOfAKey) {
  EXPECT_THAT(caprl({"config", "explain", "captioner.model"}).out,
              testing::StartsWith("captioner.model: "));
  EXPECT_EQ(caprl({"config", "explain", "captioner.model", "--for", "train"}).exit_code, 2);
}

TEST(ConfigExplain, NamesTheNearestKey) {
  const Outcome wrong = caprl({"config", "explain", "rolout.n"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("config of caprl train: unknown key 'rolout.n'; did you mean "
                                   "'rollout.n'?"));
}

TEST(ConfigDiff, OneLineAKey) {
  const TempFolder folder;
  const std::string a = (folder.path() / "a.yaml").string(),
                    b = (folder.path() / "b.yaml").string();
  write_file_atomic(a, "preset: release\n");
  write_file_atomic(b, "preset: release\nrollout:\n  n: 16\nrun:\n  seed: 7\n");
  const GrpoConfig config = [&] {
    GrpoConfig config;
    load_config(std::filesystem::path(a), {}, config);
    return config;
  }();
  EXPECT_EQ(
      caprl({"config", "diff", a, b}).out,
      fmt::format("run.seed: {} → 7\nrollout.n: {} → 16\n", config.run.seed, config.rollout.n));
  EXPECT_EQ(caprl({"config", "diff", a, a}).out, "no key differs\n");
  EXPECT_EQ(caprl({"config", "diff", a, (folder.path() / "c.yaml").string()}).exit_code, 2);
}

/// The schema of a key.
const json& property(const json& schema, std::string_view path) {
  const size_t dot = path.find('.');
  const json& mine = schema.at("properties").at(std::string(path.substr(0, dot)));
  return dot == std::string_view::npos ? mine : property(mine, path.substr(dot + 1));
}

json schema_of(const std::string& command) {
  return json::parse(caprl({"config", "schema", "--for", command}).out);
}

template <class Config>
void expect_every_key(const std::string& command) {
  SCOPED_TRACE(command);
  const json schema = schema_of(command);
  EXPECT_EQ(schema.at("title"), "caprl " + command);
  Config config;
  ConfigOf<Config> root(config);
  for (const ConfigKey& key : ConfigKeys(root).all()) {
    SCOPED_TRACE(key.path);
    const json& mine = property(schema, key.path);
    EXPECT_EQ(mine.at("description"), key.doc);
    if (key.is_section) EXPECT_EQ(mine.at("additionalProperties"), false);
  }
}

TEST(ConfigSchema, HasEveryKey) {
  expect_every_key<GrpoConfig>("train");
  expect_every_key<SftConfig>("sft");
  expect_every_key<CaptionConfig>("caption");
  expect_every_key<QaConfig>("qa");
  expect_every_key<PrismConfig>("eval");
  expect_every_key<RewardServerConfig>("serve-reward");
}

TEST(ConfigSchema, SaysWhatAValueMayBe) {
  const json schema = schema_of("train");
  const json& count = property(schema, "reward.qa_num");
  EXPECT_EQ(count.at("type"), "integer");
  EXPECT_EQ(count.at("minimum"), 1);
  EXPECT_EQ(count.at("maximum"), 10000);
  EXPECT_EQ(count.at("default"), 8);
  EXPECT_EQ(property(schema, "reward.draw").at("enum"), (json{"with_replacement", "all"}));
  EXPECT_EQ(property(schema, "data.train_files").at("items").at("type"), "string");
  EXPECT_EQ(property(schema, "rollout.enforce_eager").at("type"), "boolean");
  EXPECT_EQ(property(schema, "rollout.enforce_eager").at("default"), false);
  // With line ends and quotes in it.
  EXPECT_EQ(property(schema, "reward.answerer.prompt").at("default"),
            GrpoConfig().reward.answerer.prompt);
}

}  // namespace
}  // namespace caprl
