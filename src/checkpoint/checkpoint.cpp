#include "caprl/checkpoint/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <map>
#include <string>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "manifest.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step_";
// Folders under these names are unfinished: about to appear, or about to vanish.
constexpr std::string_view kTemporaryPrefix = ".tmp-";
constexpr std::string_view kTrashPrefix = ".trash-";
constexpr std::string_view kLatest = "latest";

std::string step_name(int64_t step) { return fmt::format("{}{:06}", kStepPrefix, step); }

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) return std::nullopt;
  return step;
}

/// Every step folder, complete or not, newest first.
std::map<int64_t, fs::path, std::greater<>> step_folders(const fs::path& root) {
  std::map<int64_t, fs::path, std::greater<>> folders;
  if (!fs::is_directory(root)) return folders;
  for (const auto& item : fs::directory_iterator(root))
    if (const auto step = step_of(item.path().filename().string()); step && item.is_directory())
      folders.emplace(*step, item.path());
  return folders;
}

/// Why a folder is not complete; empty if it is.
std::string incomplete_because(const fs::path& folder) {
  try {
    check_sizes(folder, read_manifest(folder));
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

/// What cannot be removed now is tried again by the next save; the run need not die of it.
void remove_or_warn(const fs::path& path) {
  std::error_code failure;
  fs::remove_all(path, failure);
  if (failure) log_warning("{} cannot be removed: {}", path.string(), failure.message());
}

void remove_leftovers(const fs::path& root) {
  for (const auto& item : fs::directory_iterator(root)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(kTemporaryPrefix) || name.starts_with(kTrashPrefix))
      remove_or_warn(item.path());
  }
}

/// A step folder must never be seen half deleted, hence the rename.
void discard(const fs::path& folder) {
  const fs::path trash =
      folder.parent_path() / fmt::format("{}{}", kTrashPrefix, folder.filename().string());
  fs::rename(folder, trash);
  remove_or_warn(trash);
}

void refuse_or_discard_existing(const fs::path& target) {
  if (!fs::exists(fs::symlink_status(target))) return;
  const std::string reason = incomplete_because(target);
  if (reason.empty()) throw Error("{}: this checkpoint exists already", target.string());
  log_warning("an incomplete checkpoint is replaced: {}", reason);
  discard(target);
}

void point_latest_at(const fs::path& target) {
  const fs::path root = target.parent_path();
  const fs::path link = root / fmt::format("{}{}", kTemporaryPrefix, kLatest);
  fs::remove(link);
  fs::create_directory_symlink(target.filename(), link);
  fs::rename(link, root / kLatest);
}

/// Complete checkpoints that are neither among the newest nor among the best; of equal scores the
/// newer is better.
std::vector<fs::path> superfluous(const fs::path& root, int64_t keep_last, int64_t keep_best) {
  std::vector<CheckpointEntry> complete = list_checkpoints(root);
  // Whatever is not complete is not ours to delete.
  std::erase_if(complete, [](const CheckpointEntry& entry) { return !entry.damage.empty(); });
  std::vector<CheckpointEntry> best = complete;
  std::erase_if(best, [](const CheckpointEntry& entry) { return !entry.score; });
  std::ranges::stable_sort(best, std::greater<>(),
                           [](const CheckpointEntry& entry) { return *entry.score; });
  const auto kept = [&](const std::vector<CheckpointEntry>& entries, int64_t count,
                        const fs::path& folder) {
    const auto end = entries.begin() + std::min<int64_t>(count, std::ssize(entries));
    return std::any_of(entries.begin(), end,
                       [&](const CheckpointEntry& entry) { return entry.folder == folder; });
  };
  std::vector<fs::path> folders;
  for (const CheckpointEntry& entry : complete)
    if (!kept(complete, keep_last, entry.folder) && !kept(best, keep_best, entry.folder))
      folders.push_back(entry.folder);
  return folders;
}

/// `work`, with the file system's exceptions in the project's words.
void saving(int64_t step, const std::function<void()>& work) {
  try {
    work();
  } catch (const fs::filesystem_error& error) {
    const fs::path& path = error.path2().empty() ? error.path1() : error.path2();
    throw Error("{}: checkpoint of step {} failed: {}", path.string(), step,
                error.code().message());
  }
}

/// Returns when all savers have done their `work`, and throws if it failed on any.
void together(const Savers& savers, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::string message;
  try {
    work();
  } catch (const std::exception& error) {
    failure = std::current_exception();
    message = fmt::format("!{}", error.what());
  }
  const auto messages = savers.gather(message);
  if (failure) std::rethrow_exception(failure);
  for (const std::string& other : messages)
    if (!other.empty()) throw Error("{}", other.substr(1));
}

void begin(const fs::path& target, const fs::path& temporary) {
  const fs::path root = target.parent_path();
  if (fs::create_directories(root) && root.has_parent_path()) sync_path(root.parent_path());
  remove_leftovers(root);
  refuse_or_discard_existing(target);
  fs::create_directory(temporary);
}

void finish(const fs::path& target, const fs::path& temporary, int64_t step,
            const CheckpointOptions& options) {
  const fs::path root = target.parent_path();
  write_manifest(temporary, step, options.score);
  sync_tree(temporary);
  fs::rename(temporary, target);
  point_latest_at(target);
  sync_path(root);  // the new one is safe before any other goes
  for (const fs::path& folder : superfluous(root, options.keep_last, options.keep_best))
    discard(folder);
}

}  // namespace

void save_checkpoint(const fs::path& root, int64_t step, const CheckpointOptions& options,
                     const std::function<void(const fs::path& folder)>& write_content,
                     const Savers& savers) {
  if (step < 0) throw Error("checkpoint step: expected at least 0, got {}", step);
  if (options.keep_last < 1)
    throw InputError("keep_last: expected at least 1, got {}", options.keep_last);
  const fs::path target = root / step_name(step);
  const fs::path temporary = root / fmt::format("{}{}", kTemporaryPrefix, step_name(step));
  const auto once = [&](const std::function<void()>& work) {
    together(savers, [&] {
      if (savers.first) saving(step, work);
    });
  };
  once([&] { begin(target, temporary); });
  try {
    together(savers, [&] { saving(step, [&] { write_content(temporary); }); });
    once([&] { finish(target, temporary, step, options); });
  } catch (...) {
    if (savers.first && fs::exists(temporary)) remove_or_warn(temporary);
    throw;
  }
}

std::optional<fs::path> find_checkpoint(const fs::path& root) {
  for (const auto& [step, folder] : step_folders(root)) {
    const std::string reason = incomplete_because(folder);
    if (reason.empty()) return folder;
    log_warning("checkpoint of step {} is passed over: {}", step, reason);
  }
  return std::nullopt;
}

std::vector<CheckpointEntry> list_checkpoints(const fs::path& root) {
  std::vector<CheckpointEntry> entries;
  for (const auto& [step, folder] : step_folders(root)) {
    CheckpointEntry& entry = entries.emplace_back();
    entry.folder = folder;
    entry.step = step;
    try {
      const Manifest manifest = read_manifest(folder);
      check_sizes(folder, manifest);
      entry.score = manifest.score;
      for (const auto& [name, file] : manifest.files) entry.bytes += file.size;
    } catch (const Error& error) {
      entry.damage = error.what();
    }
  }
  return entries;
}

std::vector<fs::path> tidy_checkpoints(const fs::path& root, int64_t keep_last, int64_t keep_best) {
  if (!fs::is_directory(root)) return {};
  remove_leftovers(root);
  if (const auto newest = find_checkpoint(root)) point_latest_at(*newest);
  const auto folders = superfluous(root, keep_last, keep_best);
  for (const fs::path& folder : folders) discard(folder);
  return folders;
}

bool has_checkpoints(const fs::path& root) { return !step_folders(root).empty(); }

CheckpointInfo verify_checkpoint(const fs::path& folder) {
  const Manifest manifest = read_manifest(folder);
  check_sizes(folder, manifest);
  check_hashes(folder, manifest);
  return {manifest.step, manifest.score};
}

}  // namespace caprl
