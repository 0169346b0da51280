// Checkpoints that exist whole or not at all, whenever the process or the machine dies.
//
//   ROOT/step_000120/   what the caller wrote, and manifest.json: step, size and XXH3-128 of every
//                       file
//   ROOT/latest         a link to the newest one, for people and tools; nothing here relies on it
//
// A checkpoint is written to a hidden folder, synced and renamed; older ones are deleted only after
// that, themselves renamed to a hidden folder first.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace caprl {

struct CheckpointOptions {
  int64_t keep_last = 2;        // ≥ 1: how many of the newest complete checkpoints are kept
  int64_t keep_best = 0;        // and how many of those with the highest score
  std::optional<double> score;  // of this one; not finite: none
};

/// The processes that save a checkpoint together, to a file system that they share.
struct Savers {
  bool first = true;  // the one that does everything but write_content
  /// Every process's text, on every process.
  std::function<std::vector<std::string>(const std::string& mine)> gather =
      [](const std::string& mine) { return std::vector{mine}; };
};

struct CheckpointInfo {
  int64_t step = 0;
  std::optional<double> score;
};

/// One step folder of a run.
struct CheckpointEntry {
  std::filesystem::path folder;
  int64_t step = 0;
  uint64_t bytes = 0;  // of its files as the manifest has them
  std::optional<double> score;
  std::string damage;  // why it is not complete; empty: it is, as far as names and sizes say
};

/// Calls `write_content`, on each of the savers, with a new folder to fill and makes of it
/// ROOT/step_NNNNNN, then deletes complete checkpoints that the options do not keep. `root` is
/// created. What crashes have left is removed first, so one process at a time may save to a root.
/// An incomplete folder of this step (files were taken away by hand) is replaced, a complete one is
/// an Error. Error naming the path that the file system refused, and exceptions of write_content:
/// nothing of the new checkpoint is left unless it is whole already and only `latest` or its sync
/// failed; older ones are untouched. What fails on one of the savers fails on all.
void save_checkpoint(const std::filesystem::path& root, int64_t step,
                     const CheckpointOptions& options,
                     const std::function<void(const std::filesystem::path& folder)>& write_content,
                     const Savers& savers = {});

/// The newest checkpoint whose files are all there in their full size; incomplete ones are passed
/// over with a warning. Hashes are verify_checkpoint's business.
std::optional<std::filesystem::path> find_checkpoint(const std::filesystem::path& root);

/// All step folders, newest first.
std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& root);

/// What a save does after a checkpoint is there, of all that are: ROOT/latest, and deleting
/// complete ones that neither `keep_last` nor `keep_best` keeps and what crashes have left. No
/// process may be saving there. Returns the checkpoints that it deleted.
std::vector<std::filesystem::path> tidy_checkpoints(const std::filesystem::path& root,
                                                    int64_t keep_last, int64_t keep_best);

/// Whether any step folder exists, complete or not: a run may only start afresh if this is false.
bool has_checkpoints(const std::filesystem::path& root);

/// Reads every byte and compares it with the manifest. InputError if `folder` is no checkpoint;
/// Error naming file, expected and got if it is damaged.
CheckpointInfo verify_checkpoint(const std::filesystem::path& folder);

}  // namespace caprl
