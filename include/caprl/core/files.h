// Durable file system operations. All throw Error naming the path and the system's reason.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace caprl {

std::string read_file(const std::filesystem::path& path);  // InputError if it cannot be read

/// Writes beside the target, syncs, renames: readers see the old content or the new, never a part.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

/// What `target` is called until it is complete: .NAME.tmp-PID beside it.
std::filesystem::path unfinished_path(const std::filesystem::path& target);
/// Removes the unfinished files in `folder`, if there is one: what a killed process has left. No
/// other may be writing there.
void remove_unfinished(const std::filesystem::path& folder);

/// Syncs one file, or a folder's entries.
void sync_path(const std::filesystem::path& path);
/// Syncs every file below `folder`, then the folders.
void sync_tree(const std::filesystem::path& folder);

/// XXH3-128 of a file's bytes as 32 hex digits.
std::string hash_file(const std::filesystem::path& path);
std::string hash_bytes(std::span<const std::byte> bytes);

}  // namespace caprl
