// Bulk annotation: images in, captions out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/data/dataset.h"
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

struct CaptionDataConfig {
  std::vector<std::string> files;                         // JSONL rows {"id", "image", "prompt"}
  std::vector<std::string> images;                        // image files, and folders of them
  std::string prompt = "Describe this image in detail.";  // of images, and of rows without one
  int64_t max_prompt_length = 16384;
  int64_t shard = 0, num_shards = 1;
  BadRows bad_rows = BadRows::kStop;
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
  void fields(ConfigVisitor& v);
  /// Conditions between keys; InputError names both.
  void validate() const;
};

struct CaptionCounts {
  int64_t captioned = 0;  // images, in this run
  int64_t found = 0;      // images that had their captions already
  int64_t skipped = 0;    // bad rows of this run; unreadable lines of all shards
};

/// Appends one line an image to RUN/captions.jsonl (captions-00001-of-00004.jsonl of a shard), in
/// the order in which they are done:
///   {"index", "id", "image", "captions": [{"text", "num_tokens", "finish_reason":
///   "stop"|"length"}]}
/// Images that have a line are not captioned again, so that the command continues where it was
/// stopped; captions depend on the seed and the image's place in the data alone. InputError if the
/// folder was begun with another model, data or sampling.
CaptionCounts caption_images(const CaptionConfig& config);

}  // namespace caprl
