// What the pages show: command lines parse, the configs that they name are there and take the keys
// that are set, links lead somewhere.
#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <regex>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "cli/config_kinds.h"
#include "command_lines.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
const fs::path kRepository = CAPRL_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> pages = {kRepository / "README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(kRepository / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  return pages;
}

/// The page's text without fenced blocks, and the lines of these by their language, joined where
/// they end in a backslash.
struct Page {
  std::string prose;
  std::vector<std::pair<std::string, std::string>> fenced;
};

Page read_page(const fs::path& file) {
  Page page;
  std::istringstream lines(read_file(file));
  bool inside = false, goes_on = false;
  std::string language;
  for (std::string line; std::getline(lines, line);) {
    const size_t first = std::min(line.find_first_not_of(' '), line.size());
    if (line.compare(first, 3, "```") == 0) {
      inside = !inside;
      language = line.substr(first + 3);
      goes_on = false;
    } else if (!inside) {
      page.prose += line + "\n";
    } else {
      if (goes_on)
        page.fenced.back().second += line;
      else
        page.fenced.emplace_back(language, line);
      goes_on = line.ends_with("\\");
      if (goes_on) page.fenced.back().second.pop_back();
    }
  }
  return page;
}

/// The config of a call that has one, with its overrides, is read.
void check_config(const std::vector<std::string>& call) {
  std::string file;
  std::vector<std::string> overrides;
  for (size_t i = 1; i + 1 < call.size(); ++i) {
    if (call[i] == "--config") file = call[i + 1];
    if (call[i] == "--set") overrides.push_back(call[i + 1]);
  }
  if (!file.starts_with("configs/")) return;
  const auto config = default_config(call[0]);
  EXPECT_NO_THROW(load_config(kRepository / file, overrides, *config));
}

bool shows_commands(const std::string& language) {
  return language.empty() || language == "bash" || language == "sh" || language == "console";
}

TEST(Docs, FencedCommandLinesParse) {
  int count = 0;
  for (const fs::path& file : pages())
    for (const auto& [language, line] : read_page(file).fenced) {
      if (!shows_commands(language)) continue;
      for (const auto& call : caprl_calls(line)) {
        SCOPED_TRACE(file.string() + ": " + line);
        if (std::find(call.begin(), call.end(), "…") != call.end()) continue;
        ++count;
        EXPECT_EQ(parse_error(call).value_or(""), "");
        check_config(call);
      }
    }
  EXPECT_GE(count, 30);
}

/// The option of that name that the command, or a group of its options, has.
bool has_option(CLI::App& command, const std::string& name) {
  if (command.get_option_no_throw(name) != nullptr) return true;
  for (CLI::App* group : command.get_subcommands({}))
    if (group->get_name().empty() && group->get_option_no_throw(name) != nullptr) return true;
  return false;
}

CLI::App* command_named(CLI::App& app, const std::string& name) {
  for (CLI::App* command : app.get_subcommands({}))
    if (command->get_name() == name) return command;
  return nullptr;
}

/// Names commands and options that exist; what else it holds may stand for something.
void check_mention(const std::string& code) {
  CLI::App app("caprl", "caprl");
  set_up_commands(app);
  const std::string spaced = std::regex_replace(code, std::regex(R"([\[\]]|\\)"), " ");
  std::istringstream words(spaced);
  CLI::App* command = &app;
  std::string word;
  words >> word;
  if (word == "caprl-train") command = command_named(app, "train");
  for (bool named = false; words >> word;) {
    if (word == "|" || word == ">") break;
    if (word.starts_with("--")) {
      EXPECT_TRUE(has_option(*command, word.substr(0, word.find('=')))) << word;
      named = true;
    } else if (!named && !command->get_subcommands({}).empty() && command_named(app, word)) {
      command = command_named(app, word);
    } else if (!named && command_named(*command, word)) {
      command = command_named(*command, word);
    } else if (!named && command == &app) {
      ADD_FAILURE() << "no command " << word;
      return;
    }
  }
}

/// Configs in fenced blocks whose first line is "# caprl COMMAND".
TEST(Docs, ConfigsShownAreRead) {
  int count = 0;
  for (const fs::path& file : pages()) {
    const auto fenced = read_page(file).fenced;
    for (size_t i = 0; i < fenced.size(); ++i) {
      std::smatch command;
      static const std::regex first(R"(# caprl ([a-z-]+).*)");
      if (fenced[i].first != "yaml" || !std::regex_match(fenced[i].second, command, first))
        continue;
      SCOPED_TRACE(file.string() + ": " + fenced[i].second);
      std::string text;
      for (; i < fenced.size() && fenced[i].first == "yaml"; ++i) text += fenced[i].second + "\n";
      const TempFolder folder;
      const auto config = default_config(command[1].str());
      EXPECT_NO_THROW(load_config(folder.write("shown.yaml", text), {}, *config));
      ++count;
    }
  }
  EXPECT_GE(count, 2);
}

TEST(Docs, MentionedCommandsExist) {
  const std::regex code(R"(`(caprl(-train)? [^`]+)`)");
  int count = 0;
  for (const fs::path& file : pages()) {
    const std::string prose = read_page(file).prose;
    for (std::sregex_iterator it(prose.begin(), prose.end(), code), end; it != end; ++it) {
      SCOPED_TRACE(file.string() + ": " + (*it)[1].str());
      ++count;
      check_mention((*it)[1].str());
    }
  }
  EXPECT_GE(count, 40);
}

TEST(Docs, NamedConfigsExist) {
  const std::regex name(R"(\bconfigs/[A-Za-z0-9_]+\.yaml)");
  for (const fs::path& file : pages()) {
    const std::string text = read_file(file);
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it)
      EXPECT_TRUE(fs::exists(kRepository / it->str())) << file << ": " << it->str();
  }
}

TEST(Docs, LinksLeadSomewhere) {
  const std::regex link(R"(\]\(([^)#\s]+)(#[^)\s]*)?\))");
  int count = 0;
  for (const fs::path& file : pages()) {
    const std::string prose = read_page(file).prose;
    for (std::sregex_iterator it(prose.begin(), prose.end(), link), end; it != end; ++it) {
      const std::string target = (*it)[1];
      if (target.find("://") != std::string::npos) continue;
      ++count;
      EXPECT_TRUE(fs::exists(file.parent_path() / target)) << file << ": " << target;
    }
  }
  EXPECT_GE(count, 40);
}

}  // namespace
}  // namespace caprl
