#include "caprl/tasks/qa.h"

#include <ATen/Parallel.h>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "tasks/inputs/image_files.h"
#include "tasks/qa/filter.h"
#include "tasks/qa/finish.h"
#include "tasks/qa/items.h"
#include "tasks/qa/write.h"
#include "tasks/run_folder.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

/// What texts and answers depend on.
std::string decisive_keys(QaConfig config) {
  config.run.device.clear();
  config.run.threads = 0;
  config.data.batch_items = 1;
  config.data.bad_rows = BadRows::kStop;
  config.writer.limits = config.filter.limits = {};
  config.filter.min_visual_accuracy.reset();
  config.filter.max_text_accuracy.reset();
  config.output = {};
  return config_to_yaml(config);
}

InputSpec inputs_of(const QaConfig& config) {
  const std::string& model =
      config.data.given_questions ? config.filter.model : config.writer.model;
  InputSpec spec;
  spec.files = config.data.files;
  spec.images = config.data.images;
  spec.kind = config.data.given_questions ? RowKind::kAny : RowKind::kImage;
  spec.tokenizer = Tokenizer::load(model);
  spec.prompt = image_prompt("", *spec.tokenizer, "writer.prompt");  // stands for the models' own
  spec.bad_rows = config.data.bad_rows;
  spec.adapt = adapt_qa_row;
  return spec;
}

/// Begins the run's folder, or goes on with it; only the first rank does.
void open_folder(const QaConfig& config, const InputSpec& spec) {
  const fs::path dir = config.run.dir, saved = dir / "config.yaml";
  require_same_run<QaConfig>(config, saved, decisive_keys);
  check_image_names(config.data.images);
  const bool is_new = create_run_folder(config.run.dir);
  try {
    remove_unfinished(dir);
    Inputs(spec, dir, "manifest");
  } catch (...) {
    std::error_code ignored;
    if (is_new) fs::remove(dir, ignored);
    throw;
  }
  write_file_atomic(saved, config_to_yaml(config));
  for (const char* stem : {kWritten, kAnswered}) repair_records(dir, stem);
}

}  // namespace

QaResult curate_questions(const QaConfig& config, World& world) {
  config.validate();
  if (config.run.threads > 0) at::set_num_threads(static_cast<int>(config.run.threads));
  const at::Device device = choose_device(config.run.device, world.group().launch().local_rank);
  const InputSpec spec = inputs_of(config);
  SideChannel ranks(world.group(), "qa");
  if (world.is_first()) open_folder(config, spec);
  ranks.gather("open");
  const Inputs inputs(spec, config.run.dir, "manifest");
  const QaRun run{config, world, inputs, device};
  const auto stage = [&](const char* stem, auto work) {
    const StageItems todo(run, stem);
    ranks.gather(std::string("read ") + stem);  // before anybody writes
    work(run, todo);
    ranks.gather(std::string("done ") + stem);
  };
  if (!config.data.given_questions) stage(kWritten, write_questions);
  stage(kAnswered, answer_questions);
  return world.is_first() ? finish_questions(run) : QaResult();
}

}  // namespace caprl
