#include <iostream>
#include <memory>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/error.h"
#include "cli/commands.h"

namespace caprl {
namespace {

void export_checkpoint(const std::filesystem::path& checkpoint, const std::filesystem::path& out) {
  if (std::filesystem::exists(out)) throw InputError("--out: {} exists already", out.string());
  const CheckpointInfo info = verify_checkpoint(checkpoint);
  const auto parent = std::filesystem::absolute(out).parent_path();
  std::filesystem::create_directories(parent);
  const auto temporary = parent / (out.filename().string() + ".tmp");
  std::filesystem::remove_all(temporary);
  std::filesystem::copy(checkpoint / "model", temporary, std::filesystem::copy_options::recursive);
  std::filesystem::rename(temporary, out);
  std::cout << out.string() << ": the model of step " << info.step << "\n";
}

}  // namespace

void add_export_command(CLI::App& app) {
  struct Options {
    std::string checkpoint, out;
  };
  CLI::App* command =
      app.add_subcommand("export", "Copy a checkpoint's model as a Hugging Face directory");
  auto options = std::make_shared<Options>();
  command->add_option("--checkpoint", options->checkpoint, "RUN/checkpoints/step_…")->required();
  command->add_option("--out", options->out, "new folder")->required();
  command->callback([options] { export_checkpoint(options->checkpoint, options->out); });
}

}  // namespace caprl
