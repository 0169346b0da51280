#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/error.h"
#include "caprl/io/weight_files.h"
#include "caprl/models/model.h"
#include "cli/commands.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string checkpoint, out, base_model;
  bool adapter = false;
};

/// That of the sums that merging makes: what is rounded to the files' own dtype is rounded once.
at::ScalarType merging_dtype(const WeightFiles& files) {
  at::ScalarType dtype = at::kBFloat16;
  for (const std::string& name : files.names()) {
    if (files.dtype(name) == at::kDouble) return at::kDouble;
    if (files.dtype(name) != at::kBFloat16) dtype = at::kFloat;
  }
  return dtype;
}

/// A Hugging Face directory of the base model with the adapter merged into its weights.
void merge_adapter(const Options& options, const fs::path& adapter, const fs::path& out) {
  const fs::path base =
      options.base_model.empty() ? base_of_adapter(adapter) : fs::path(options.base_model);
  ModelOptions load;
  load.dtype = merging_dtype(WeightFiles::open(base));
  save_model(*load_merged(base, adapter, load), base, out);
}

void copy_adapter(const fs::path& adapter, const fs::path& out) {
  fs::create_directories(out);
  for (const char* name : {kAdapterConfig, kAdapterWeights})
    fs::copy_file(adapter / name, out / name);
}

/// Says what is written.
std::string fill(const Options& options, int64_t step, const fs::path& out) {
  const fs::path model = fs::path(options.checkpoint) / "model";
  if (!is_adapter(model)) {
    if (options.adapter || !options.base_model.empty())
      throw InputError(
          "{}: --adapter and --base-model are for a checkpoint with an adapter, which "
          "this one has not",
          options.checkpoint);
    fs::copy(model, out, fs::copy_options::recursive);
    return fmt::format("the model of step {}", step);
  }
  if (options.adapter) {
    copy_adapter(model, out);
    return fmt::format("the adapter of step {}", step);
  }
  merge_adapter(options, model, out);
  return fmt::format("the model of step {}, its adapter merged into the weights", step);
}

void export_checkpoint(const Options& options) {
  const fs::path out = options.out;
  if (fs::exists(out)) throw InputError("--out: {} exists already", out.string());
  const CheckpointInfo info = verify_checkpoint(options.checkpoint);
  const auto parent = fs::absolute(out).parent_path();
  fs::create_directories(parent);
  const auto temporary = parent / (out.filename().string() + ".tmp");
  fs::remove_all(temporary);
  std::string what;
  try {
    what = fill(options, info.step, temporary);
  } catch (...) {
    fs::remove_all(temporary);
    throw;
  }
  fs::rename(temporary, out);
  std::cout << out.string() << ": " << what << "\n";
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "export", "Write a checkpoint's model as a Hugging Face directory, adapters merged into it");
  auto options = std::make_shared<Options>();
  command->add_option("--checkpoint", options->checkpoint, "RUN/checkpoints/step_…")->required();
  command->add_option("--out", options->out, "new folder")->required();
  const auto adapter = command->add_flag("--adapter", options->adapter,
                                         "write the adapter alone, for PEFT and vLLM");
  command
      ->add_option("--base-model", options->base_model,
                   "directory of the model that the adapter was trained on, if it has moved")
      ->excludes(adapter);
  command->callback([options] { export_checkpoint(*options); });
}

}  // namespace caprl
