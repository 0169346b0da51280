// Every command's help has examples, and they are right.
#include <gmock/gmock.h>

#include <set>

#include "command_lines.h"

namespace caprl {
namespace {

/// "config show" and the like, with their help.
void collect(CLI::App& app, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& helps) {
  helps.emplace_back(path, app.help());
  for (CLI::App* command : app.get_subcommands({}))
    if (!command->get_name().empty() && !command->get_group().empty())
      collect(*command, path.empty() ? command->get_name() : path + " " + command->get_name(),
              helps);
}

std::vector<std::pair<std::string, std::string>> helps() {
  CLI::App app("caprl", "caprl");
  set_up_commands(app);
  std::vector<std::pair<std::string, std::string>> helps;
  collect(app, "", helps);
  return helps;
}

TEST(Help, EveryCommandHasExamplesOfItself) {
  for (const auto& [path, help] : helps()) {
    SCOPED_TRACE(path);
    const size_t begin = help.find("Examples:\n");
    ASSERT_NE(begin, std::string::npos) << help;
    int count = 0;
    std::istringstream lines(help.substr(begin));
    for (std::string line; std::getline(lines, line);)
      for (const auto& call : caprl_calls(line)) {
        ++count;
        EXPECT_EQ(parse_error(call).value_or(""), "") << line;
        std::string words;
        for (const std::string& word : call) words += (words.empty() ? "" : " ") + word;
        EXPECT_THAT(words, testing::StartsWith(path));
      }
    EXPECT_GE(count, 1) << help;
  }
}

TEST(Help, WrongCommandLinesAreFound) {
  EXPECT_TRUE(parse_error({"train"}));
  EXPECT_TRUE(parse_error({"train", "--config", "a.yaml", "--colour"}));
  EXPECT_TRUE(parse_error({"config", "schema", "--for", "nobody"}));
  EXPECT_TRUE(parse_error({"trian"}));
  EXPECT_FALSE(parse_error({"--version"}));
  EXPECT_FALSE(parse_error({"train", "--config", "a.yaml"}));
}

TEST(Help, CallsAreFoundInLines) {
  using Calls = std::vector<std::vector<std::string>>;
  EXPECT_EQ(caprl_calls("X=1 srun build/cpu/bin/caprl-train --set 'a=[b c]' > out # caprl no"),
            (Calls{{"train", "--set", "a=[b c]"}}));
  EXPECT_EQ(caprl_calls("caprl doctor && echo caprl.json | caprl tokenize --model M"),
            (Calls{{"doctor"}, {"tokenize", "--model", "M"}}));
}

}  // namespace
}  // namespace caprl
