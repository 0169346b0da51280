#include <iostream>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/models/gguf_import.h"
#include "caprl/models/model.h"
#include "cli/commands.h"

namespace caprl {
namespace {

struct ImportOptions {
  std::string gguf, out, dtype = "bfloat16";
};

void import_model(const ImportOptions& options) {
  if (std::filesystem::exists(options.out))
    throw InputError("--out: {} exists already", options.out);
  import_gguf(options.gguf, options.out, parse_dtype(options.dtype, "--dtype"));
  std::cout << options.out << ": the model of " << options.gguf << "\n";
}

}  // namespace

void add_import_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("import", "Write a Hugging Face directory from a GGUF file");
  auto options = std::make_shared<ImportOptions>();
  command->add_option("--gguf", options->gguf, "a llama, qwen2 or qwen3 model")->required();
  command->add_option("--out", options->out, "new folder")->required();
  command->add_option("--dtype", options->dtype, "of the weights")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command->callback([options] { import_model(*options); });
}

}  // namespace caprl
