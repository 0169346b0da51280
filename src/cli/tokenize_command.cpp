#include <iostream>
#include <memory>

#include "caprl/text/token_lines.h"
#include "cli/commands.h"

namespace caprl {

void add_tokenize_command(CLI::App& app) {
  struct Options {
    std::string model;
    bool decode = false;
  };
  CLI::App* command = app.add_subcommand(
      "tokenize", "Turn lines of stdin (JSON strings) into lines of ids (JSON arrays)");
  auto options = std::make_shared<Options>();
  command->add_option("--model", options->model, "model directory with a tokenizer")->required();
  command->add_flag("--decode", options->decode, "ids in, strings out");
  command->callback([options] {
    const auto tokenizer = Tokenizer::load(options->model);
    std::ios::sync_with_stdio(false);
    const auto convert = options->decode ? decode_lines : encode_lines;
    convert(*tokenizer, std::cin, "stdin", std::cout);
  });
}

}  // namespace caprl
