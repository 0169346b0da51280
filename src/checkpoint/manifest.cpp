#include "manifest.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFileName = "manifest.json";
constexpr const char* kHash = "xxh3_128";
constexpr int64_t kVersion = 1;

/// Of the manifest without its own hash.
std::string own_hash(json manifest) {
  manifest.erase(kHash);
  const std::string text = manifest.dump();
  return hash_bytes(std::as_bytes(std::span(text)));
}

Manifest from_json(const json& value) {
  Manifest manifest;
  manifest.step = value.at("step").get<int64_t>();
  if (value.contains("score")) manifest.score = value["score"].get<double>();
  for (const auto& [path, file] : value.at("files").items())
    manifest.files[path] = {file.at("size").get<uint64_t>(), file.at(kHash).get<std::string>()};
  return manifest;
}

}  // namespace

void write_manifest(const fs::path& folder, int64_t step, std::optional<double> score) {
  json files = json::object();
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_directory() && !item.is_symlink()) continue;
    if (!item.is_regular_file() || item.is_symlink())
      throw Error("{}: a checkpoint holds files and folders only", item.path().string());
    files[item.path().lexically_relative(folder).generic_string()] = {
        {"size", item.file_size()}, {kHash, hash_file(item.path())}};
  }
  json manifest = {{"format", "caprl checkpoint"},
                   {"version", kVersion},
                   {"step", step},
                   {"files", std::move(files)}};
  if (score && std::isfinite(*score)) manifest["score"] = *score;
  manifest[kHash] = own_hash(manifest);
  write_file_atomic(folder / kFileName, manifest.dump(1) + "\n");
}

Manifest read_manifest(const fs::path& folder) {
  const fs::path path = folder / kFileName;
  if (!fs::exists(path))
    throw InputError("{}: not a checkpoint: there is no {}", folder.string(), kFileName);
  json value;
  try {
    value = read_json(path);
  } catch (const InputError& error) {
    throw Error("{}", error.what());  // the program's own file, damaged
  }
  const bool signed_object = value.is_object() && value.contains(kHash);
  const std::string expected = signed_object ? value[kHash].dump() : "a hash";
  const std::string got = signed_object ? json(own_hash(value)).dump() : "none";
  if (expected != got)
    throw Error("{}: damaged: {}: expected {}, got {}", path.string(), kHash, expected, got);
  if (value.value("version", int64_t{0}) != kVersion)
    throw InputError("{}: version: expected {}, got {}", path.string(), kVersion,
                     value.value("version", json()).dump());
  return from_json(value);
}

void check_sizes(const fs::path& folder, const Manifest& manifest) {
  for (const auto& [name, file] : manifest.files) {
    std::error_code failure;
    const uint64_t size = fs::file_size(folder / name, failure);
    if (failure)
      throw Error("{}: expected {} bytes, got none: {}", (folder / name).string(), file.size,
                  failure.message());
    if (size != file.size)
      throw Error("{}: expected {} bytes, got {}", (folder / name).string(), file.size, size);
  }
}

void check_hashes(const fs::path& folder, const Manifest& manifest) {
  for (const auto& [name, file] : manifest.files) {
    const std::string hash = hash_file(folder / name);
    if (hash != file.hash)
      throw Error("{}: damaged: {}: expected {}, got {}", (folder / name).string(), kHash,
                  file.hash, hash);
  }
}

}  // namespace caprl
