#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/data/convert.h"
#include "caprl/data/stats.h"
#include "caprl/data/validate.h"
#include "caprl/io/json.h"
#include "cli/commands.h"
#include "cli/data_inspect.h"

namespace caprl {
namespace {

struct Options {
  std::vector<std::string> files;
  int64_t rows = 3;
  std::string out, prompt = ConvertOptions().caption_prompt;
  bool llava = false, captions = false, embed_images = false, skip_bad_rows = false, json = false, sft = false;
  int64_t row_group_mb = 32;
  std::string model;
  int64_t max_prompt_length = 4096;
};

void inspect(const Options& options) {
  for (const std::string& file : expand_data_files(options.files)) {
    if (options.files.size() > 1) std::cout << "== " << file << "\n";
    inspect_data(file, options.rows);
  }
}

void convert(const Options& options) {
  ConvertOptions convert;
  if (options.llava) convert.form = RowForm::kLlava;
  if (options.captions) convert.form = RowForm::kCaptions;
  convert.caption_prompt = options.prompt;
  convert.embed_images = options.embed_images;
  convert.bad_rows = options.skip_bad_rows ? BadRows::kSkip : BadRows::kStop;
  convert.layout.row_group_bytes = options.row_group_mb << 20;
  const ConvertCounts counts = convert_data(options.files, options.out, convert);
  log_info("{}: {} rows written, {} bad rows skipped", options.out, counts.rows, counts.skipped);
}

void print_tree(const nlohmann::ordered_json& value, const std::string& indent) {
  for (const auto& [key, part] : value.items()) {
    std::cout << indent << key;
    if (part.is_object()) {
      std::cout << "\n";
      print_tree(part, indent + "  ");
    } else {
      std::cout << ": " << (part.is_null() ? "none" : part.dump()) << "\n";
    }
  }
}

void stats(const Options& options) {
  const nlohmann::ordered_json counts = data_stats(options.files);
  if (options.json)
    std::cout << counts.dump() << "\n";
  else
    print_tree(counts, "");
}

void validate(const Options& options) {
  const std::filesystem::path config = std::filesystem::path(options.model) / "config.json";
  const PromptBuilder prompts(options.model, "",
                              describe_model(read_json(config), config.string()).traits,
                              options.max_prompt_length);
  const auto all =
      validate_data(options.files, options.sft ? RowKind::kSft : RowKind::kCaption, prompts,
                    [](const std::string& fault) { std::cout << fault << "\n"; });
  int64_t rows = 0, bad = 0, unusable = 0;
  std::cout << "\n      rows       bad  file\n";
  for (const ValidationCounts& counts : all) {
    std::cout << fmt::format("{:>10}  {:>8}  {}{}\n", counts.rows, counts.bad, counts.file,
                             counts.unusable ? " (cannot be used)" : "");
    rows += counts.rows;
    bad += counts.bad;
    unusable += counts.unusable;
  }
  std::cout << std::flush;
  if (bad + unusable > 0)
    throw InputError("{} of {} rows are bad, {} of {} files cannot be used", bad, rows, unusable,
                     all.size());
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("data", "Look at, check and convert data files");
  command->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, void (*run)(const Options&)) {
    CLI::App* action = command->add_subcommand(name, what);
    action
        ->add_option("FILES", options->files,
                     "JSONL or Parquet files, or patterns of them ('shards/*.parquet')")
        ->required();
    action->callback([options, run] { run(*options); });
    return action;
  };
  add("inspect", "Schema, row groups and first rows", inspect)
      ->add_option("--rows", options->rows, "first rows to show")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));

  CLI::App* converting = add("convert", "Write all rows as one Parquet or JSONL file", convert);
  converting->add_option("--out", options->out, "FILE.parquet, or a JSONL file")->required();
  CLI::Option* llava =
      converting->add_flag("--llava", options->llava,
                           "the files hold LLaVA's conversations; write a row for each answer");
  CLI::Option* captions =
      converting
          ->add_flag("--captions", options->captions,
                     "the files are captions of caprl caption; write a row for each caption")
          ->excludes(llava);
  converting
      ->add_option("--prompt", options->prompt,
                   "what the image is asked in rows of captions; the image comes first")
      ->needs(captions)
      ->capture_default_str();
  converting->add_flag("--embed-images", options->embed_images,
                       "put the images at paths into the file");
  converting->add_flag("--skip-bad-rows", options->skip_bad_rows,
                       "leave out and count rows that cannot be read, instead of stopping");
  converting
      ->add_option("--row-group-mb", options->row_group_mb, "size of a Parquet file's row groups")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));

  add("stats", "Counts of rows, images, questions, options and answers", stats)
      ->add_flag("--json", options->json, "one JSON object");

  CLI::App* validating =
      add("validate", "Check every row as training does; exit code 2 if one is bad", validate);
  validating->add_option("--model", options->model, "the policy's directory: tokenizer and images")
      ->required();
  validating->add_flag("--sft", options->sft, "rows for caprl sft");
  validating
      ->add_option("--max-prompt-length", options->max_prompt_length, "as data.max_prompt_length")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
}

}  // namespace caprl
