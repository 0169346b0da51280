// Question curation (CapRL, arXiv 2509.22647, section 3): a vision-language model writes questions
// about images; those stay that another one answers right with the image and not without it.
// docs/QA.md has the protocol and the forms of files.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/data/dataset.h"
#include "caprl/dist/world.h"
#include "caprl/generation/generator.h"
#include "caprl/train/config.h"

namespace caprl {

struct QaDataConfig {
  std::vector<std::string> files;   // rows with an image, and perhaps questions
  std::vector<std::string> images;  // image files, folders, patterns
  bool given_questions = false;     // the rows bring the questions: nothing is written
  int64_t max_prompt_length = 16384;
  int64_t batch_items = 64;
  BadRows bad_rows = BadRows::kStop;
  void fields(ConfigVisitor& v);
};

/// A model that is asked something about images.
struct QaModelConfig {
  std::string model;
  std::string dtype = "bfloat16";
  std::string chat_template;  // a Jinja file; empty: the model directory's
  std::string system_prompt;
  std::string prompt;
  double temperature = 0.1;
  double top_p = 1.0;
  double repetition_penalty = 1.05;
  int64_t max_new_tokens = 2048;
  GenerationLimits limits;
  void fields(ConfigVisitor& v);
};

struct QaWriterConfig : QaModelConfig {
  int64_t num_questions = 5;
  void fields(ConfigVisitor& v);
};

struct QaFilterConfig : QaModelConfig {
  QaFilterConfig() { max_new_tokens = 4; }
  int64_t rotations = 4;
  std::string abstain_choice = "None of the above";  // with the image only; empty: none
  std::optional<double> min_visual_accuracy = 0.75;  // not itself; absent: any
  std::optional<double> max_text_accuracy = 0.25;
  void fields(ConfigVisitor& v);
};

enum class QaFormat { kJsonl, kParquet };

struct QaOutputConfig {
  QaFormat format = QaFormat::kJsonl;
  bool embed_images = false;
  std::string prompt = "<image> Please describe this image in detail.";
  std::string data_source = "image_caption_rl";
  void fields(ConfigVisitor& v);
};

/// `caprl qa`.
struct QaConfig {
  RunConfig run;
  QaDataConfig data;
  QaWriterConfig writer;
  QaFilterConfig filter;
  QaOutputConfig output;
  void fields(ConfigVisitor& v);
  /// Conditions between keys; InputError names both.
  void validate() const;
};

/// Every item is an image with questions, one without, unusable, or a duplicate; every question
/// found is kept or dropped.
struct QaResult {
  int64_t items = 0;       // of the data, whatever became of them
  int64_t duplicates = 0;  // items that are another one
  int64_t unusable = 0;    // bad rows, images and prompts that could not be used
  int64_t responses = 0, truncated_responses = 0;  // of the writer; or texts that rows brought
  int64_t found = 0;                               // questions, malformed ones included
  int64_t extracted = 0;                           // well-formed ones
  int64_t kept = 0;
  int64_t images_kept = 0;                                        // with a question that is kept
  std::map<std::string, int64_t> dropped;                         // questions, by the reason's name
  int64_t answers = 0, unread_answers = 0;                        // of the filter's model
  std::map<std::string, int64_t> visual_accuracy, text_accuracy;  // questions by "2/4"
  std::map<std::string, int64_t> answer_letters;                  // of the questions kept
  std::string output;                                             // the file of training rows
};

/// Goes through the stages, rank r of `world` doing the items whose number is r modulo the ranks:
///   written.jsonl    what the writer said about each image (not with given questions)
///   answered.jsonl   each image's questions, and how they were answered; what was dropped and why
///   questions.jsonl  (or .parquet) rows of the training schema, by rank 0
///   dropped.jsonl    items and questions that are not in it, and why
///   result.json      the counts
/// Stages go on where they were stopped, with as many ranks as one likes; what they give depends on
/// the seed and the item's place in the data alone. Other thresholds or another output need no new
/// answers. The result is rank 0's. InputError if the folder was begun with another model, data or
/// sampling.
QaResult curate_questions(const QaConfig& config, World& world = World::alone());

/// The table that a person reads.
std::string result_table(const QaResult& result);
nlohmann::json result_json(const QaResult& result);

}  // namespace caprl
