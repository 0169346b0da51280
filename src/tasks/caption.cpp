#include "caprl/tasks/caption.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/progress.h"
#include "caprl/core/queue.h"
#include "caprl/core/timer.h"
#include "caprl/generation/prompts.h"
#include "caprl/io/jsonl.h"
#include "tasks/caption_rows.h"

namespace caprl {
namespace {

/// What captions depend on.
std::string decisive_keys(CaptionConfig config) {
  config.run.device.clear();
  config.run.threads = 0;
  config.sampling.limits = {};
  config.data.bad_rows = BadRows::kStop;
  return config_to_yaml(config);
}

std::filesystem::path captions_file(const CaptionConfig& config) {
  const CaptionDataConfig& data = config.data;
  const std::string name = data.num_shards == 1 ? "captions.jsonl"
                                                : fmt::format("captions-{:05}-of-{:05}.jsonl",
                                                              data.shard, data.num_shards);
  return std::filesystem::path(config.run.dir) / name;
}

/// Each shard has a config of its own beside its captions.
void open_folder(const CaptionConfig& config) {
  std::filesystem::path saved = captions_file(config);
  saved.replace_extension(".yaml");
  std::error_code error;
  std::filesystem::create_directories(config.run.dir, error);
  if (error) throw InputError("run.dir: {} cannot be created: {}", config.run.dir, error.message());
  if (std::filesystem::exists(saved)) {
    CaptionConfig before;
    load_config(saved, {}, before);
    if (decisive_keys(before) != decisive_keys(config))
      throw InputError(
          "{} was begun with another model, data or sampling ({}); choose another run.dir",
          config.run.dir, saved.string());
  }
  write_file_atomic(saved, config_to_yaml(config));
}

std::unordered_set<int64_t> indices_done(const std::filesystem::path& file) {
  std::unordered_set<int64_t> done;
  std::error_code error;
  if (std::filesystem::file_size(file, error) == 0 || error) return done;
  JsonlReader reader(file);
  while (const auto line = reader.next()) {
    const auto index = line->value.find("index");
    if (index == line->value.end() || !index->is_number_integer())
      throw InputError("{}:{}: expected a caption with an integer 'index'", file.string(),
                       line->number);
    done.insert(index->get<int64_t>());
  }
  return done;
}

class CaptionRun {
 public:
  explicit CaptionRun(const CaptionConfig& config)
      : config_(config),
        model_(Model::load(config.captioner.model,
                           {parse_dtype(config.captioner.dtype, "config: 'captioner.dtype'"),
                            choose_device(config.run.device), TrainedParts::kNone})),
        prompts_(config.captioner.model, config.captioner.chat_template, model_->traits(),
                 config.data.max_prompt_length) {
    if (!model_->traits().image_token_id)
      throw InputError("{}: expected a vision-language model, got {}", config.captioner.model,
                       model_->traits().architecture);
  }

  CaptionCounts run() {
    auto loaded = load_rows_to_caption(config_.data, prompts_.tokenizer());
    rows_ = std::move(loaded.rows);
    counts_.skipped = loaded.num_skipped;
    open_folder(config_);
    JsonlAppender output(captions_file(config_));
    choose_rows(indices_done(captions_file(config_)));
    log_info("{} images to caption, {} done before", todo_.size(), counts_.found);
    if (!todo_.empty()) caption_all(output);
    return counts_;
  }

 private:
  struct Prepared {
    int64_t index;
    std::optional<Prompt> prompt;  // absent: a bad row
  };
  struct Open {
    int64_t index, left;
    std::vector<GeneratedSequence> samples;
  };

  void choose_rows(const std::unordered_set<int64_t>& done) {
    for (int64_t i = config_.data.shard; i < static_cast<int64_t>(rows_.size());
         i += config_.data.num_shards)
      done.contains(i) ? void(++counts_.found) : todo_.push_back(i);
  }

  Prepared prepare(int64_t place) const {
    const ImageRow& row = rows_[todo_[place]];
    Prepared prepared{todo_[place], std::nullopt};
    use_row(config_.data.bad_rows, [&] {
      prepared.prompt = prompts_.build(row.prompt, std::span(&row.image, 1), row.where);
    });
    return prepared;
  }

  /// Images are read and cut into patches while others are captioned.
  void caption_all(JsonlAppender& output) {
    constexpr size_t kAhead = 16;
    Generator generator(*model_,
                        config_.sampling.params(prompts_, model_->traits(), config_.run.seed),
                        config_.sampling.limits);
    PrefetchQueue<Prepared> queue([this](int64_t place) { return prepare(place); }, 0,
                                  static_cast<int64_t>(todo_.size()), kAhead);
    const auto total = static_cast<int64_t>(todo_.size());
    Progress progress(total, 0);
    std::unordered_map<int64_t, Open> open;
    int64_t taken = 0, tokens = 0;
    const auto start = std::chrono::steady_clock::now();
    while (taken < total || !generator.idle()) {
      // What is ready joins in; what is not is waited for only when there is nothing else to do.
      while (taken < total && (generator.idle() || queue.ready()) &&
             generator.num_unfinished() < 2 * config_.sampling.limits.max_num_seqs) {
        Prepared prepared = *queue.next();
        ++taken;
        if (prepared.prompt)
          submit(generator, std::move(prepared), open);
        else
          ++counts_.skipped;
      }
      if (generator.idle()) continue;
      for (Generator::Finished& finished : generator.step()) {
        Open& image = open.at(finished.request);
        tokens += static_cast<int64_t>(finished.sequence.ids.size());
        image.samples[finished.sample] = std::move(finished.sequence);
        if (--image.left > 0) continue;
        output.append(line_of(image));
        open.erase(finished.request);
        ++counts_.captioned;
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        progress.update(counts_.captioned,
                        {{"tokens/s", static_cast<double>(tokens) / seconds.count(), 0}});
      }
    }
  }

  void submit(Generator& generator, Prepared prepared, std::unordered_map<int64_t, Open>& open) {
    GenerationRequest request;
    request.prompt = *std::move(prepared.prompt);
    request.prompt_id = static_cast<uint64_t>(prepared.index);
    request.suffixes.resize(static_cast<size_t>(config_.sampling.n));
    const std::string& where = rows_[prepared.index].where;
    const bool fits = use_row(config_.data.bad_rows, [&] {
      at_place(where, [&] {
        const int64_t number = generator.submit(std::move(request));
        open[number] = {prepared.index, config_.sampling.n,
                        std::vector<GeneratedSequence>(static_cast<size_t>(config_.sampling.n))};
      });
    });
    if (!fits) ++counts_.skipped;
  }

  nlohmann::json line_of(const Open& image) const {
    const ImageRow& row = rows_[image.index];
    nlohmann::json captions = nlohmann::json::array();
    for (const GeneratedSequence& sample : image.samples)
      captions.push_back({{"text", sample.text ? *sample.text : prompts_.text(sample.ids)},
                          {"num_tokens", sample.ids.size()},
                          {"finish_reason", sample.stopped ? "stop" : "length"}});
    nlohmann::json line = {{"index", image.index},
                           {"id", row.id},
                           {"image", nullptr},
                           {"captions", std::move(captions)}};
    if (!row.image.path.empty()) line["image"] = row.image.path.string();
    return line;
  }

  const CaptionConfig& config_;
  std::unique_ptr<Model> model_;
  PromptBuilder prompts_;
  std::vector<ImageRow> rows_;
  std::vector<int64_t> todo_;  // indices of rows
  CaptionCounts counts_;
};

}  // namespace

CaptionCounts caption_images(const CaptionConfig& config) {
  config.validate();
  if (config.run.threads > 0) at::set_num_threads(static_cast<int>(config.run.threads));
  return CaptionRun(config).run();
}

}  // namespace caprl
