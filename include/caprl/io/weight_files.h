// The weights of a Hugging Face model directory, whether in one file or in shards.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "caprl/io/safetensors.h"

namespace caprl {

/// Immutable; thread safe.
class WeightFiles {
 public:
  /// Reads DIR/model.safetensors, or else DIR/model.safetensors.index.json and its shards (the
  /// order of transformers). InputError for whatever SafetensorsFile refuses, and for an index that
  /// is malformed, leads out of the folder, names absent files or tensors, or does not agree with
  /// the shards: a tensor in two shards, or in a shard but not in the index.
  static WeightFiles open(const std::filesystem::path& model_dir);

  const std::vector<std::string>& names() const { return names_; }  // sorted
  bool contains(std::string_view name) const { return index_.contains(name); }
  /// What follows is an InputError for an unknown name.
  const SafetensorsFile::Entry& entry(std::string_view name) const {
    return file(name).entry(name);
  }
  at::ScalarType dtype(std::string_view name) const { return entry(name).dtype; }
  const std::vector<int64_t>& shape(std::string_view name) const { return entry(name).shape; }
  at::Tensor tensor(std::string_view name) const {
    return file(name).tensor(name);
  }                                                          // read-only memory
  const SafetensorsFile& file(std::string_view name) const;  // where the tensor is

 private:
  WeightFiles(std::filesystem::path dir, std::vector<SafetensorsFile> files);

  std::filesystem::path dir_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::string> names_;
  std::unordered_map<std::string_view, size_t> index_;  // into files_, whose entries own the names
};

}  // namespace caprl
