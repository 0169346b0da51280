// Bulk annotation: images in, captions out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/data/dataset.h"
#include "caprl/dist/world.h"
#include "caprl/generation/generator.h"
#include "caprl/generation/prompts.h"
#include "caprl/train/config.h"

namespace caprl {

struct CaptionerConfig {
  std::string model;
  std::string dtype = "bfloat16";
  std::string chat_template;  // a Jinja file; empty: the model directory's
  void fields(ConfigVisitor& v);
};

/// What makes two images the same item.
enum class DuplicateKey {
  kName,    // a row's id; without one, the image's path
  kContent  // the bytes of the image's file
};

struct CaptionDataConfig {
  std::vector<std::string> files;                         // JSONL, Parquet, WebDataset archives
  std::vector<std::string> images;                        // image files, folders, patterns
  std::string prompt = "Describe this image in detail.";  // of images, and of rows without one
  int64_t max_prompt_length = 16384;
  DuplicateKey duplicates = DuplicateKey::kName;
  int64_t shard = 0, num_shards = 1;
  BadRows bad_rows = BadRows::kStop;
  void fields(ConfigVisitor& v);
};

enum class CaptionFormat { kJsonl, kParquet };
enum class CaptionRecords { kDetailed, kPairs };

struct CaptionOutputConfig {
  CaptionFormat format = CaptionFormat::kJsonl;
  CaptionRecords records = CaptionRecords::kDetailed;
  bool embed_images = false;
  int64_t rows_per_shard = 0;
  void fields(ConfigVisitor& v);
};

struct CaptionSamplingConfig {
  int64_t n = 1;
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  double repetition_penalty = 1.0;
  std::vector<std::string> stop;
  int64_t response_length = 4096;
  GenerationLimits limits;
  void fields(ConfigVisitor& v);
  /// Of captions by a model with these traits. `prompts` must live as long.
  SamplingParams params(const PromptBuilder& prompts, const ModelTraits& traits,
                        int64_t seed) const;
};

/// `caprl caption`.
struct CaptionConfig {
  RunConfig run;
  CaptionerConfig captioner;
  CaptionDataConfig data;
  CaptionSamplingConfig sampling;
  CaptionOutputConfig output;
  void fields(ConfigVisitor& v);
  /// Conditions between keys; InputError names both.
  void validate() const;
};

/// Of this rank or shard.
struct CaptionCounts {
  int64_t captioned = 0;   // images, in this run
  int64_t found = 0;       // images that had their captions, or had been set aside, already
  int64_t skipped = 0;     // bad rows and images set aside in this run
  int64_t duplicates = 0;  // items of all ranks that are another one
};

/// Captions every image once, rank r of `world` those whose number is r modulo the ranks (or this
/// process those of data.shard). Appends one line an image to RUN/captions.jsonl
/// (captions-00001-of-00004.jsonl of a rank), in the order in which they are done:
///   {"index", "id", "image", "captions": [{"text", "num_tokens", "finish_reason":
///   "stop"|"length"}]}
/// or, of output.records = pairs, {"index", "id", "image", "caption"}. "image" is a path, or with
/// output.embed_images {"path", "bytes" (base64)}. What cannot be captioned is
/// set aside in quarantine.jsonl, {"index", "id", "where", "reason"}. Items with a line are not
/// done again, so that the command goes on where it was stopped, with as many ranks as one likes;
/// captions depend on the seed and the item's place in the data alone. docs/CAPTION.md has the
/// files. InputError if the folder was begun with another model, data or sampling.
CaptionCounts caption_images(const CaptionConfig& config, World& world = World::alone());

}  // namespace caprl
