#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/error.h"
#include "cli/commands.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string path;
  int64_t keep_last = 2, keep_best = 0;
};

/// RUN/checkpoints of a run, or the folder itself.
fs::path root_of(const fs::path& path) {
  const fs::path root = fs::is_directory(path / "checkpoints") ? path / "checkpoints" : path;
  if (!has_checkpoints(root))
    throw InputError("{}: expected a run's folder with checkpoints, got none", path.string());
  return root;
}

std::string describe(const CheckpointEntry& entry) {
  if (!entry.damage.empty()) return fmt::format("not complete: {}", entry.damage);
  return fmt::format("{:.1f} MB{}", static_cast<double>(entry.bytes) / 1e6,
                     entry.score ? fmt::format(", score {:.4g}", *entry.score) : "");
}

void list(const Options& options) {
  for (const CheckpointEntry& entry : list_checkpoints(root_of(options.path)))
    std::cout << entry.folder.string() << "  " << describe(entry) << "\n";
}

/// One checkpoint, or all of a run: every byte is read. The first that is damaged is thrown in the
/// end.
void verify(const Options& options) {
  std::vector<fs::path> folders;
  if (fs::exists(fs::path(options.path) / "manifest.json"))
    folders.push_back(options.path);
  else
    for (const CheckpointEntry& entry : list_checkpoints(root_of(options.path)))
      folders.push_back(entry.folder);
  std::optional<Error> first;
  for (const fs::path& folder : folders) {
    try {
      std::cout << folder.string() << ": whole, step " << verify_checkpoint(folder).step << "\n";
    } catch (const Error& error) {
      std::cout << folder.string() << ": damaged\n";
      if (!first) first = error;
    }
  }
  if (first) throw *first;
}

void prune(const Options& options) {
  for (const fs::path& folder :
       tidy_checkpoints(root_of(options.path), options.keep_last, options.keep_best))
    std::cout << folder.string() << ": deleted\n";
}

}  // namespace

void add_checkpoint_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("checkpoint", "Look after a run's checkpoints");
  command->require_subcommand(1);
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, void (*run)(const Options&)) {
    CLI::App* action = command->add_subcommand(name, what);
    action->add_option("RUN", options->path, "run folder, or its folder of checkpoints")
        ->required();
    action->callback([options, run] { run(*options); });
    return action;
  };
  add("list", "Steps, sizes and scores, newest first", list);
  add("verify", "Read every byte of all checkpoints, or of one, and compare it with the manifest",
      verify);
  CLI::App* pruning = add("prune", "Delete checkpoints of a run that has ended", prune);
  pruning->add_option("--keep-last", options->keep_last, "newest that stay")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  pruning->add_option("--keep-best", options->keep_best, "and those with the highest scores")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
}

}  // namespace caprl
