// The folder of a bulk annotation: its config, the manifest of its inputs, what is done.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "caprl/dist/group.h"
#include "caprl/tasks/caption.h"
#include "tasks/caption_output.h"
#include "tasks/index_set.h"
#include "tasks/inputs/inputs.h"

namespace caprl {

/// InputError for a prompt with one of the tokenizer's added tokens.
InputSpec caption_inputs(const CaptionDataConfig& config,
                         std::shared_ptr<const Tokenizer> tokenizer);

/// Captions, and items set aside with the reason; the file of the latter appears with the first
/// one.
class CaptionWriter {
 public:
  CaptionWriter(CaptionOutput captions, std::filesystem::path quarantine)
      : captions_(std::move(captions)), quarantine_file_(std::move(quarantine)) {}
  void append(const nlohmann::json& line) { captions_.append(line); }
  void set_aside(const InputItem& item);
  void close() { captions_.close(); }

 private:
  CaptionOutput captions_;
  std::filesystem::path quarantine_file_;
  std::unique_ptr<JsonlAppender> quarantine_;
};

/// The ranks of a launch share one; without a launcher data.shard is a process of its own, with a
/// config, a manifest and records that are named after it.
class CaptionFolder {
 public:
  /// InputError if there are both ranks and shards.
  CaptionFolder(const CaptionConfig& config, const Group& group);

  /// Whether this process opens and finishes it.
  bool is_opener() const { return is_shard_ || rank_ == 0; }
  /// Begins the folder or goes on with it: nobody else may be writing.
  void open(const InputSpec& spec) const;
  std::string manifest() const { return named("manifest"); }
  bool is_mine(int64_t index) const { return index % size_ == rank_; }
  /// Items that have captions or are set aside. InputError if one is both, or has two lines.
  IndexSet done(int64_t num_items) const;
  CaptionWriter writer() const;
  /// Writes summary.json. Error if an item is missing.
  void finish(const Inputs& inputs) const;

 private:
  struct Done {
    IndexSet captioned, set_aside;
  };
  Done read_done(int64_t num_items) const;
  /// Of a shard: "captions-00001-of-00004"; of all ranks: "captions".
  std::string named(const std::string& stem) const;
  std::filesystem::path base(const std::string& stem, int64_t rank) const;

  const CaptionConfig& config_;
  std::filesystem::path dir_;
  bool is_shard_;
  int64_t rank_, size_;
};

}  // namespace caprl
