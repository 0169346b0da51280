#include "tasks/caption_folder.h"

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "tasks/inputs/image_files.h"
#include "tasks/records.h"
#include "tasks/run_folder.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char *kCaptions = "captions", *kQuarantine = "quarantine";

/// What captions depend on, and the form of what is in the files.
std::string decisive_keys(CaptionConfig config) {
  config.run.device.clear();
  config.run.threads = 0;
  config.sampling.limits = {};
  config.data.bad_rows = BadRows::kStop;
  config.output.rows_per_shard = 0;
  return config_to_yaml(config);
}

void insert_once(IndexSet& set, int64_t index, const std::string& dir) {
  if (set.contains(index))
    throw InputError("{}: item {} has more than one line; expected each once", dir, index);
  set.insert(index);
}

}  // namespace

InputSpec caption_inputs(const CaptionDataConfig& config,
                         std::shared_ptr<const Tokenizer> tokenizer) {
  InputSpec spec;
  spec.files = config.files;
  spec.images = config.images;
  spec.prompt = image_prompt(config.prompt, *tokenizer, "data.prompt");
  spec.tokenizer = std::move(tokenizer);
  spec.bad_rows = config.bad_rows;
  spec.duplicates = config.duplicates;
  return spec;
}

void CaptionWriter::set_aside(const InputItem& item) {
  if (!quarantine_) quarantine_ = std::make_unique<JsonlAppender>(quarantine_file_);
  quarantine_->append(
      {{"index", item.index}, {"id", item.row.id}, {"where", item.where}, {"reason", item.error}});
}

CaptionFolder::CaptionFolder(const CaptionConfig& config, const Group& group)
    : config_(config),
      dir_(config.run.dir),
      is_shard_(config.data.num_shards > 1),
      rank_(is_shard_ ? config.data.shard : group.rank()),
      size_(is_shard_ ? config.data.num_shards : group.size()) {
  if (is_shard_ && group.size() > 1)
    throw InputError(
        "config: 'data.num_shards': expected 1, as a launcher has started {} processes that divide "
        "the data, got {}",
        group.size(), config.data.num_shards);
}

std::string CaptionFolder::named(const std::string& stem) const {
  return is_shard_ ? base(stem, rank_).filename().string() : stem;
}

fs::path CaptionFolder::base(const std::string& stem, int64_t rank) const {
  return records_file(dir_, stem, rank, size_).replace_extension();
}

void CaptionFolder::open(const InputSpec& spec) const {
  const fs::path saved = dir_ / (named(kCaptions) + ".yaml");
  require_same_run<CaptionConfig>(config_, saved, decisive_keys);
  check_image_names(config_.data.images);
  const bool is_new = create_run_folder(config_.run.dir);
  if (!is_shard_) remove_unfinished(dir_);  // other shards may be writing theirs
  try {
    Inputs(spec, dir_, manifest());
  } catch (...) {
    std::error_code ignored;
    if (is_new) fs::remove(dir_, ignored);
    throw;
  }
  write_file_atomic(saved, config_to_yaml(config_));
  std::vector<fs::path> bases;
  for (int64_t rank = 0; rank < size_; ++rank)
    if (!is_shard_ || rank == rank_) bases.push_back(base(kCaptions, rank));
  repair_captions(dir_, named(kCaptions), config_.output, bases);
  repair_records(dir_, named(kQuarantine));
}

CaptionFolder::Done CaptionFolder::read_done(int64_t num_items) const {
  Done done;
  for_each_captioned(dir_, named(kCaptions), num_items,
                     [&](int64_t index) { insert_once(done.captioned, index, config_.run.dir); });
  for_each_record(records_files(dir_, named(kQuarantine)), num_items, [&](const Record& record) {
    insert_once(done.set_aside, record.index, config_.run.dir);
  });
  return done;
}

IndexSet CaptionFolder::done(int64_t num_items) const {
  Done done = read_done(num_items);
  for (int64_t i = 0; i < num_items; ++i)
    if (done.set_aside.contains(i)) insert_once(done.captioned, i, config_.run.dir);
  return std::move(done.captioned);
}

CaptionWriter CaptionFolder::writer() const {
  return {CaptionOutput(base(kCaptions, rank_), config_.output),
          records_file(dir_, kQuarantine, rank_, size_)};
}

void CaptionFolder::finish(const Inputs& inputs) const {
  const Done done = read_done(inputs.size());
  int64_t missing = 0, items = 0, duplicates = 0;
  for (int64_t i = 0; i < inputs.size(); ++i) {
    if (is_shard_ && !is_mine(i)) continue;
    ++items;
    duplicates += !inputs.is_distinct(i);
    missing += inputs.is_distinct(i) && !done.captioned.contains(i) && !done.set_aside.contains(i);
  }
  if (missing > 0)
    throw Error("{}: {} of {} items have neither captions nor a reason why not", config_.run.dir,
                missing, items);
  const json summary = {{"items", items},
                        {"captioned", done.captioned.size()},
                        {"set_aside", done.set_aside.size()},
                        {"duplicates", duplicates}};
  write_file_atomic(dir_ / (named("summary") + ".json"), summary.dump(2) + "\n");
  log_info("{} items: {} captioned, {} set aside, {} duplicates", items, done.captioned.size(),
           done.set_aside.size(), duplicates);
}

}  // namespace caprl
