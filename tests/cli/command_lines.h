// Command lines as text: in the help and on the pages of docs/.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.h"

namespace caprl {

/// Words as a shell has them: quotes are removed, "#" begins a comment, operators are words of
/// their own.
inline std::vector<std::string> shell_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  const auto finish = [&] {
    if (in_word) words.push_back(std::move(word));
    word.clear();
    in_word = false;
  };
  for (const char c : line) {
    if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '#' && !in_word) {
      break;
    } else if (std::string_view(" \t").find(c) != std::string_view::npos) {
      finish();
    } else if (std::string_view("|&;<>()").find(c) != std::string_view::npos) {
      finish();
      words.emplace_back(1, c);
    } else {
      word += c;
      in_word = true;
    }
  }
  finish();
  return words;
}

inline bool is_program(const std::string& word, const std::string& name) {
  return word == name || word.ends_with("bin/" + name);
}

/// The arguments of each call of caprl in the line, whatever launches it; those of caprl-train
/// begin with "train".
inline std::vector<std::vector<std::string>> caprl_calls(std::string_view line) {
  std::vector<std::vector<std::string>> calls;
  bool in_call = false, names_file = false;
  for (const std::string& word : shell_words(line)) {
    if (word.size() == 1 && std::string_view("|&;<>()").find(word[0]) != std::string_view::npos) {
      in_call = false;
      names_file = word == ">" || word == "<";
    } else if (std::exchange(names_file, false)) {
    } else if (in_call) {
      calls.back().push_back(word);
    } else if (is_program(word, "caprl") || is_program(word, "caprl-train")) {
      calls.emplace_back();
      if (word.ends_with("-train")) calls.back().push_back("train");
      in_call = true;
    }
  }
  return calls;
}

/// Why the command line is wrong; nothing is run.
inline std::optional<std::string> parse_error(std::vector<std::string> arguments) {
  CLI::App app("caprl", "caprl");
  set_up_commands(app);
  // Everything is parsed, no command has begun. (Commands' own callbacks keep their options.)
  app.parse_complete_callback([] { throw CLI::Success(); });
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success&) {
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return {};
}

}  // namespace caprl
