#include <gtest/gtest.h>

#include "caprl/core/config.h"
#include "caprl/core/error.h"
#include "config_sample.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

/// What load_config says of a file, whose path is cut down to "F".
std::string error_of(std::string_view yaml, const std::vector<std::string>& overrides = {}) {
  const TempFolder folder;
  const std::string file = folder.write("x.yaml", yaml);
  SampleConfig config;
  std::string text = message_of<InputError>([&] { load_config(file, overrides, config); });
  for (size_t at; (at = text.find(file)) != std::string::npos;) text = text.substr(0, at).append("F").append(text, at + file.size());
  return text;
}

TEST(MalformedYaml, UndefinedAnchor) {  // newer releases of yaml-cpp name it
  EXPECT_THAT(error_of("steps: *none"),
              testing::StartsWith("F:1:8: malformed YAML: the referenced anchor is not defined"));
}

struct Case {
  std::string yaml, message;
  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.yaml; }
};

class ConfigErrors : public testing::TestWithParam<Case> {};

TEST_P(ConfigErrors, WordForWord) { EXPECT_EQ(error_of(GetParam().yaml), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    UnknownKeys, ConfigErrors,
    testing::Values(
        Case{"steps: 1\nrollout:\n  temprature: 1",
             "F:3:3: unknown key 'rollout.temprature'; did you mean 'rollout.temperature'?"},
        Case{"rolout: {n: 1}", "F:1:1: unknown key 'rolout'; did you mean 'rollout'?"},
        Case{"steps: 1\ntemperature: 1",
             "F:2:1: unknown key 'temperature'; did you mean 'rollout.temperature'?"},
        Case{"rollout: {top_p: 1}",
             "F:1:11: unknown key 'rollout.top_p'; did you mean 'rollout.top_k'?"},
        Case{
            "rollout: {answerer: {modle: x}}",
            "F:1:22: unknown key 'rollout.answerer.modle'; did you mean 'rollout.answerer.model'?"},
        Case{"Steps: 1", "F:1:1: unknown key 'Steps'; did you mean 'steps'?"},
        Case{"<<: {steps: 1}", "F:1:1: unknown key '<<'; did you mean 'lr'?"},
        Case{"1: 2", "F:1:1: unknown key '1'; did you mean 'lr'?"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, ConfigErrors,
    testing::Values(
        Case{"steps: 1\nlr: 2\nsteps: 1", "F:3:1: duplicate key 'steps', first given at F:1:1"},
        Case{"rollout:\n  n: 1\n  n: 2", "F:3:3: duplicate key 'rollout.n', first given at F:2:3"},
        Case{"rollout: {n: 1}\nrollout: {top_k: 2}",
             "F:2:1: duplicate key 'rollout', first given at F:1:1"},
        Case{"rollout: {n: 1}\nrollout.n: 2",
             "F:2:1: duplicate key 'rollout.n', first given at F:1:11"},
        Case{"rollout: 5", "F:1:10: 'rollout': expected a section with keys, got '5'"},
        Case{"rollout:\n  - n: 5", "F:2:3: 'rollout': expected a section with keys, got a list"},
        Case{"[a]: 1", "F:1:1: expected a key, got a list"},
        Case{"~: 1", "F:1:1: expected a key, got null"},
        Case{"- steps: 1", "F:1:1: expected config keys, got a list"},
        Case{"steps", "F:1:1: expected config keys, got 'steps'"},
        Case{"", "F: expected config keys, got an empty file"},
        Case{"# nothing but a comment\n", "F: expected config keys, got an empty file"},
        Case{"---\n...\n", "F: expected config keys, got an empty file"},
        Case{"steps: 1\n---\nsteps: 2", "F: expected one YAML document, got 2"}));

INSTANTIATE_TEST_SUITE_P(
    MalformedYaml, ConfigErrors,
    testing::Values(
        Case{"steps: 1\n  lr: 2", "F:2:5: malformed YAML: illegal map value"},
        Case{"files: [a, b", "F:2:1: malformed YAML: end of sequence flow not found"},
        Case{"name: \"abc", "F:2:2: malformed YAML: illegal EOF in scalar"},
        Case{"name: 'abc\nsteps: 1\n", "F:4:2: malformed YAML: illegal EOF in scalar"},
        Case{"a: 1\n\tb: 2", "F:2:1: malformed YAML: illegal tab when looking for indentation"},
        Case{"steps: 1\nfiles: [a]]", "F:2:11: malformed YAML: illegal flow end"},
        Case{"steps: 1\x04\nlr: 2", "F: control character 0x04 at byte 8"},
        Case{std::string("steps: 1\0", 9), "F: control character 0x00 at byte 8"}));

INSTANTIATE_TEST_SUITE_P(
    Integers, ConfigErrors,
    testing::Values(
        Case{"steps: 1e6", "F:1:8: 'steps': expected an integer, got '1e6'"},
        Case{"steps: 1.0", "F:1:8: 'steps': expected an integer, got '1.0'"},
        Case{"steps: ten", "F:1:8: 'steps': expected an integer, got 'ten'"},
        Case{"steps: 0x10", "F:1:8: 'steps': expected an integer, got '0x10'"},
        Case{"steps: 1_000", "F:1:8: 'steps': expected an integer, got '1_000'"},
        Case{"steps: '4'", "F:1:8: 'steps': expected an integer, got the text '4'"},
        Case{"lr: 1\nsteps:", "F:2:1: 'steps': expected an integer, got null"},
        Case{"steps: null", "F:1:1: 'steps': expected an integer, got null"},
        Case{"steps: [1]", "F:1:8: 'steps': expected an integer, got a list"},
        Case{"steps: {a: 1}", "F:1:8: 'steps': expected an integer, got a section"},
        Case{"steps: 9223372036854775808",
             "F:1:8: 'steps': expected an integer, got '9223372036854775808'"},
        Case{"rollout:\n  n: 0", "F:2:6: 'rollout.n': expected an integer (1 to 4096), got '0'"},
        Case{"rollout: {n: 4097}",
             "F:1:14: 'rollout.n': expected an integer (1 to 4096), got '4097'"},
        Case{"rollout: {top_k: 0}",
             "F:1:18: 'rollout.top_k': expected an integer or null (1 to 1000000), got '0'"}));

INSTANTIATE_TEST_SUITE_P(
    OtherValues, ConfigErrors,
    testing::Values(
        Case{"lr: fast", "F:1:5: 'lr': expected a number, got 'fast'"},
        Case{"lr: nan", "F:1:5: 'lr': expected a number, got 'nan'"},
        Case{"lr: .nan", "F:1:5: 'lr': expected a number, got '.nan'"},
        Case{"lr: inf", "F:1:5: 'lr': expected a number, got 'inf'"},
        Case{"lr: 1e999", "F:1:5: 'lr': expected a number, got '1e999'"},
        Case{"lr: 1e-6x", "F:1:5: 'lr': expected a number, got '1e-6x'"},
        Case{"lr: +-1", "F:1:5: 'lr': expected a number, got '+-1'"},
        Case{"lr: \"1\"", "F:1:5: 'lr': expected a number, got the text '1'"},
        Case{"rollout: {temperature: -1}",
             "F:1:24: 'rollout.temperature': expected a number (at least 0), got '-1'"},
        Case{"rollout: {min_p: 1.5}",
             "F:1:18: 'rollout.min_p': expected a number or null (at most 1), got '1.5'"},
        Case{"rollout: {answerer: {top_p: .inf}}",
             "F:1:29: 'rollout.answerer.top_p': expected a number (0 to 1), got '.inf'"},
        Case{"shuffle: yes", "F:1:10: 'shuffle': expected true or false, got 'yes'"},
        Case{"shuffle: 1", "F:1:10: 'shuffle': expected true or false, got '1'"},
        Case{"shuffle: 'true'", "F:1:10: 'shuffle': expected true or false, got the text 'true'"},
        Case{"name: null", "F:1:1: 'name': expected text, got null"},
        Case{"name: [a]", "F:1:7: 'name': expected text, got a list"},
        Case{"name: {a: b}", "F:1:7: 'name': expected text, got a section"},
        Case{"files: a.jsonl", "F:1:8: 'files': expected a list of texts, got 'a.jsonl'"},
        Case{"files: null", "F:1:1: 'files': expected a list of texts, got null"},
        Case{"files:\n  - a\n  - [b]", "F:3:5: 'files[1]': expected text, got a list"},
        Case{"files: [a, null]", "F:1:8: 'files[1]': expected text, got null"},
        Case{"rollout: {weights: [1, 11]}",
             "F:1:24: 'rollout.weights[1]': expected a number (0 to 10), got '11'"},
        Case{"schedule: linear",
             "F:1:11: 'schedule': expected one of constant, cosine, got 'linear'"},
        Case{"schedule: null", "F:1:1: 'schedule': expected one of constant, cosine, got null"}));

TEST(ConfigErrors, Overrides) {
  const auto error = [](const std::string& text) { return error_of("steps: 1", {text}); };
  EXPECT_EQ(error("rollout.temprature=1"),
            "--set rollout.temprature=1: unknown key 'rollout.temprature'; "
            "did you mean 'rollout.temperature'?");
  EXPECT_EQ(error("rollout.n=1e6"),
            "--set rollout.n=1e6: 'rollout.n': expected an integer (1 to 4096), got '1e6'");
  EXPECT_EQ(error("rollout.n="),
            "--set rollout.n=: 'rollout.n': expected an integer (1 to 4096), got the text ''");
  EXPECT_EQ(error("rollout.n"), "--set rollout.n: expected key.path=value");
  EXPECT_EQ(error("=1"), "--set =1: expected key.path=value");
  EXPECT_EQ(error("rollout={n: 1}"),
            "--set rollout={n: 1}: 'rollout' is a section; set one of its keys");
  EXPECT_EQ(error("files=[a"), "--set files=[a: malformed YAML: end of sequence flow not found");
  EXPECT_EQ(error("name='a"), "--set name='a: malformed YAML: illegal EOF in scalar");
  EXPECT_EQ(error("files=[a, {}]"),
            "--set files=[a, {}]: 'files[1]': expected text, got a section");
  EXPECT_EQ(error("name=a: b"), "--set name=a: b: 'name': expected text, got a section");
}

TEST(ConfigErrors, OverridesDoNotHideTheFilesErrors) {
  EXPECT_EQ(error_of("steps: x", {"steps=1"}), "F:1:8: 'steps': expected an integer, got 'x'");
}

TEST(ConfigErrors, AbsentFile) {
  SampleConfig config;
  EXPECT_EQ(message_of<InputError>([&] { load_config("/nowhere/x.yaml", {}, config); }),
            "/nowhere/x.yaml cannot be opened: No such file or directory");
}

}  // namespace
}  // namespace caprl
