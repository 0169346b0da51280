#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"

namespace caprl {
namespace {

/// As C++ has a text; pieces, since a compiler takes no literal above 64 kB.
std::string literal(const std::string& text) {
  constexpr size_t kPiece = 8000;
  std::string literals;
  for (size_t begin = 0; begin < text.size(); begin += kPiece)
    literals += fmt::format("R\"~~~({})~~~\" ", text.substr(begin, kPiece));
  return literals;
}

void print_page(const std::string& place, const std::string& text) {
  std::cout << fmt::format("    {{\"{}\", {}}},\n", place, literal(text));
}

/// `above`: the commands above it, as the usage names them.
void print_pages(const CLI::App& app, const std::string& above, const std::string& place) {
  print_page(place, app.help(above));
  const std::string name = above.empty() ? app.get_name() : above + " " + app.get_name();
  for (const CLI::App* command : app.get_subcommands({}))
    if (!command->get_name().empty() && !command->get_group().empty())
      print_pages(*command, name,
                  place.empty() ? command->get_name() : place + " " + command->get_name());
}

}  // namespace

void add_help_pages_command(CLI::App& app) {
  app.add_subcommand("help-pages", "All help as C++, for the launcher")
      ->group("")  // not in the help
      ->callback([root = &app] {
        std::cout << "// Made by `caprl-core help-pages`.\n"
                     "#pragma once\n\n"
                     "struct HelpPage {\n  const char *place, *text;\n};\n"
                     "inline constexpr HelpPage kHelpPages[] = {\n";
        // One that has not parsed anything: after that help is of the command that was named.
        CLI::App app(root->get_description(), root->get_name());
        set_up_commands(app);
        print_page("--version", app.version() + "\n");
        print_pages(app, "", "");
        std::cout << "};\n";
      });
}

}  // namespace caprl
