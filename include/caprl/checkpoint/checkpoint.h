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
  int64_t keep_last = 2;  // ≥ 1: how many of the newest complete checkpoints are kept
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
};

/// Calls `write_content`, on each of the savers, with a new folder to fill and makes of it
/// ROOT/step_NNNNNN, then deletes
/// complete checkpoints beyond the `keep_last` newest. `root` is created. What crashes have left is
/// removed first, so one process at a time may save to a root. An incomplete folder of this step
/// (files were taken away by hand) is replaced, a complete one is an Error. Error naming the path
/// that the file system refused, and exceptions of write_content: nothing of the new checkpoint is
/// left unless it is whole already and only `latest` or its sync failed; older ones are untouched.
/// What fails on one of the savers fails on all.
void save_checkpoint(const std::filesystem::path& root, int64_t step,
                     const CheckpointOptions& options,
                     const std::function<void(const std::filesystem::path& folder)>& write_content,
                     const Savers& savers = {});

/// The newest checkpoint whose files are all there in their full size; incomplete ones are passed
/// over with a warning. Hashes are verify_checkpoint's business.
std::optional<std::filesystem::path> find_checkpoint(const std::filesystem::path& root);

/// Whether any step folder exists, complete or not: a run may only start afresh if this is false.
bool has_checkpoints(const std::filesystem::path& root);

/// Reads every byte and compares it with the manifest. InputError if `folder` is no checkpoint;
/// Error naming file, expected and got if it is damaged.
CheckpointInfo verify_checkpoint(const std::filesystem::path& folder);

}  // namespace caprl
