#include "caprl/core/config.h"

#include <gtest/gtest.h>

#include <limits>

#include "config_sample.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

SampleConfig load(std::string_view yaml, const std::vector<std::string>& overrides = {}) {
  const TempFolder folder;
  SampleConfig config;
  load_config(folder.write("x.yaml", yaml), overrides, config);
  return config;
}

TEST(Config, ReadsEveryKind) {
  const SampleConfig config = load(R"(# a comment
name: "run: 1"
shuffle: false
steps: -5
lr: 1e-6
files: [a.jsonl, "b c.jsonl"]
schedule: cosine
rollout:
  n: 16
  temperature: 0
  top_k: 50
  min_p: null
  answerer: {model: ../m, top_p: 0.95}
  weights:
    - 1
    - 2.5
)");
  SampleConfig expected;
  expected.name = "run: 1";
  expected.shuffle = false;
  expected.steps = -5;
  expected.lr = 1e-6;
  expected.files = {"a.jsonl", "b c.jsonl"};
  expected.schedule = SampleSchedule::kCosine;
  expected.rollout.n = 16;
  expected.rollout.temperature = 0;
  expected.rollout.top_k = 50;
  expected.rollout.min_p = std::nullopt;
  expected.rollout.answerer.model = "../m";
  expected.rollout.answerer.top_p = 0.95;
  expected.rollout.weights = {1, 2.5};
  EXPECT_EQ(config, expected);
}

TEST(Config, DefaultsStayWhereTheFileIsSilent) {
  SampleConfig expected;
  expected.rollout.n = 2;
  EXPECT_EQ(load("rollout: {n: 2}"), expected);
  EXPECT_EQ(load("rollout:\nsteps: 1000"), SampleConfig());
  EXPECT_EQ(load("--- {}"), SampleConfig());
}

TEST(Config, FormsOfNumbers) {
  EXPECT_EQ(load("lr: 1").lr, 1.0);
  EXPECT_EQ(load("lr: +2.50e+3").lr, 2500.0);
  EXPECT_EQ(load("lr: .5").lr, 0.5);
  EXPECT_EQ(load("lr: -.inf").lr, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(load("lr: 0.1").lr, 0.1);
  EXPECT_EQ(load("steps: +7").steps, 7);
  EXPECT_EQ(load("steps: 9223372036854775807").steps, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(load("steps: -9223372036854775808").steps, std::numeric_limits<int64_t>::min());
}

TEST(Config, TextKeepsItsForm) {
  EXPECT_EQ(load("name: 0123").name, "0123");
  EXPECT_EQ(load("name: true").name, "true");
  EXPECT_EQ(load("name: 'null'").name, "null");
  EXPECT_EQ(load("name: ''").name, "");
  EXPECT_EQ(load("name: |\n  a\n  b\n").name, "a\nb\n");
  EXPECT_EQ(load("name: |-\n  a\n  b").name, "a\nb");
  EXPECT_EQ(load("files: [1.50, no]").files, (std::vector<std::string>{"1.50", "no"}));
}

TEST(Config, DottedKeysAndAnchorsAreYaml) {
  EXPECT_EQ(load("rollout.answerer.top_p: 0.5").rollout.answerer.top_p, 0.5);
  const SampleConfig config = load("steps: &count 12\nrollout: {n: *count}");
  EXPECT_EQ(config.rollout.n, 12);
}

TEST(Config, LimitsAreAllowed) {
  EXPECT_EQ(load("rollout: {n: 1, top_k: 1000000, temperature: 0, min_p: 1}").rollout.top_k,
            1000000);
  EXPECT_EQ(load("rollout: {n: 4096, weights: [0, 10]}").rollout.n, 4096);
}

TEST(Config, OverridesWinInOrder) {
  const SampleConfig config =
      load("rollout: {n: 2, temperature: 3}\nsteps: 4",
           {"rollout.n=5", "rollout.n=6", "rollout.answerer.model=b=c d", "files=[x, y]",
            "rollout.min_p=null", "lr=2e-5", "name=", "schedule=cosine"});
  SampleConfig expected;
  expected.name = "";
  expected.steps = 4;
  expected.lr = 2e-5;
  expected.files = {"x", "y"};
  expected.schedule = SampleSchedule::kCosine;
  expected.rollout.n = 6;
  expected.rollout.temperature = 3;
  expected.rollout.min_p = std::nullopt;
  expected.rollout.answerer.model = "b=c d";
  EXPECT_EQ(config, expected);
}

TEST(Config, ResolvedYamlNamesEveryKeyInOrder) {
  EXPECT_EQ(config_to_yaml(SampleConfig()), R"(name: ""
shuffle: true
steps: 1000
lr: 1e-06
files: []
schedule: constant
rollout:
  n: 8
  temperature: 1
  top_k: null
  min_p: 0.5
  answerer:
    model: models/a
    top_p: 1
  weights: [1, 0.1]
)");
}

TEST(Config, ResolvedYamlReadsBack) {
  SampleConfig config;
  for (const std::string text : {"",
                                 "a b",
                                 "null",
                                 "~",
                                 "NULL",
                                 "true",
                                 "12",
                                 "1e5",
                                 "a: b",
                                 "# no",
                                 "-x",
                                 "'",
                                 "\"",
                                 "a\\b",
                                 "l1\nl2\r\n",
                                 "\ttab",
                                 "\x01\x1f\x7f",
                                 "ünï ☃",
                                 "[a]",
                                 "{",
                                 "*a",
                                 "&a",
                                 "!x",
                                 "%",
                                 "@",
                                 " lead",
                                 "trail ",
                                 "a,b",
                                 "...",
                                 "---",
                                 "/abs/path-1_2.yaml",
                                 "=",
                                 "<<",
                                 "\xe2\x80\xa8"}) {
    config.name = text;
    config.files = {text, "x", text};
    config.rollout.answerer.model = text;
    EXPECT_EQ(load(config_to_yaml(config)), config) << text;
  }
  for (const double value :
       {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e21, 123456789.125, 1e-6,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    config.lr = value;
    EXPECT_EQ(load(config_to_yaml(config)).lr, value);
  }
  config.rollout.weights = {};
  config.rollout.top_k = 3;
  config.rollout.min_p = std::nullopt;
  config.steps = std::numeric_limits<int64_t>::min();
  config.schedule = SampleSchedule::kCosine;
  EXPECT_EQ(load(config_to_yaml(config)), config);
}

TEST(Config, Markdown) {
  EXPECT_EQ(config_to_markdown(SampleConfig()), R"(| key | type | default | allowed | meaning |
|---|---|---|---|---|
| `name` | text | `""` |  | of the run |
| `shuffle` | true or false | `true` |  | rows in random order |
| `steps` | integer | `1000` |  | of training |
| `lr` | number | `1e-06` |  | learning rate |
| `files` | list of texts | `[]` |  | of rows |
| `schedule` | choice | `constant` | constant, cosine | of the learning rate |

## `rollout`: sampling captions

| key | type | default | allowed | meaning |
|---|---|---|---|---|
| `rollout.n` | integer | `8` | 1 to 4096 | captions per image |
| `rollout.temperature` | number | `1` | at least 0 | of sampling |
| `rollout.top_k` | integer or null | `null` | 1 to 1000000 | most likely tokens |
| `rollout.min_p` | number or null | `0.5` | at most 1 | least share |
| `rollout.weights` | list of numbers | `[1, 0.1]` | 0 to 10 | of rewards |

## `rollout.answerer`: the frozen LLM

| key | type | default | allowed | meaning |
|---|---|---|---|---|
| `rollout.answerer.model` | text | `models/a` |  | its directory |
| `rollout.answerer.top_p` | number | `1` | 0 to 1 | nucleus \| top-p |
)");
}

}  // namespace
}  // namespace caprl
