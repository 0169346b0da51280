// Prism evaluation: how much of what is asked about images a text-only model answers right from a
// captioner's captions (CapRL, arXiv 2509.22647, section 4; Prism, arXiv 2406.14544).
// docs/EVAL.md has the protocol, the forms of benchmarks and the scorers.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/dist/world.h"
#include "caprl/generation/generator.h"
#include "caprl/tasks/caption.h"
#include "caprl/train/config.h"

namespace caprl {

/// Where the answer is in what the answerer says.
enum class AnswerForm {
  kTagged,  // \boxed{} within <answer> after </think>: the published protocol
  kBoxed,   // the last \boxed{}
  kLetter,  // the first letter from A to I, as the reward reads answers
  kText     // all of it
};

struct EvalDataConfig {
  std::vector<std::string> files;  // "PATH", or "FORM:PATH"
  std::string image_folder;        // empty: each file's own
  std::string prompt = "Please describe this image in detail.";
  int64_t max_prompt_length = 16384;
  int64_t batch_items = 64;
  BadRows bad_rows = BadRows::kStop;
  void fields(ConfigVisitor& v);
};

struct EvalAnswererConfig {
  std::string model;
  std::string dtype = "bfloat16";
  double temperature = 1.0;
  double top_p = 1.0;
  int64_t max_new_tokens = 2048;
  AnswerForm answer = AnswerForm::kTagged;
  GenerationLimits limits;
  std::string chat_template;     // a Jinja file; empty: the model directory's
  std::string system_prompt;     // empty: the chat template's default
  std::string prompt;            // with {caption} and {question}; empty: the built-in one
  std::string assistant_prefix;  // what the answerer's turn begins with
  void fields(ConfigVisitor& v);
};

struct EvalReportConfig {
  double confidence = 0.95;
  int64_t resamples = 1000;
  void fields(ConfigVisitor& v);
};

/// `caprl eval`.
struct PrismConfig {
  PrismConfig();
  RunConfig run;
  CaptionerConfig captioner;
  EvalDataConfig data;
  CaptionSamplingConfig sampling;  // 4 captions of at most 2048 tokens
  EvalAnswererConfig answerer;
  EvalReportConfig report;
  void fields(ConfigVisitor& v);
  /// Conditions between keys; InputError names both.
  void validate() const;
};

/// A mean over items and its confidence interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
  bool is_wilson = false;  // every item is 0 or 1: Wilson's interval; otherwise the bootstrap's
};

/// One benchmark's row of the table, or all benchmarks' (their unweighted mean).
struct BenchmarkResult {
  std::string name;
  int64_t items = 0;       // with a score
  int64_t unanswered = 0;  // items none of whose captions could be asked about
  int64_t skipped = 0;     // items whose image or prompt could not be used
  Estimate mean, best;     // over a caption's samples; absent (0) without items
  int64_t captions = 0, truncated_captions = 0, caption_tokens = 0;
  int64_t answers = 0, truncated_answers = 0, unread_answers = 0;
};

struct EvalResult {
  int64_t samples = 0;         // captions an image
  int64_t items_expected = 0;  // of all benchmarks
  int64_t bad_rows = 0;        // lines of the data that are no items
  double confidence = 0;
  int64_t resamples = 0;
  std::vector<BenchmarkResult> benchmarks;  // in the order of the data
  std::optional<BenchmarkResult> average;   // of two benchmarks or more
};

/// Captions, asks and scores every item, rank r of `world` those whose number is r modulo the
/// ranks. Appends one line an item to RUN/items.jsonl (items-00001-of-00004.jsonl of a rank) as a
/// batch is done; items that have a line are not done again, so that the command continues where it
/// was stopped, with as many ranks as it likes. Captions and answers depend on the seed and the
/// item's place in the data alone. Writes RUN/result.json at the end. The result is rank 0's.
/// InputError if the folder was begun with another model, data or sampling.
EvalResult evaluate(const PrismConfig& config, World& world = World::alone());

/// The table that a person reads.
std::string result_table(const EvalResult& result);
nlohmann::json result_json(const EvalResult& result);

}  // namespace caprl
