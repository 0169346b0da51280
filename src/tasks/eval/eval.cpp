#include "caprl/tasks/eval.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/queue.h"
#include "caprl/generation/prompts.h"
#include "caprl/io/jsonl.h"
#include "tasks/eval/answer.h"
#include "tasks/eval/items.h"
#include "tasks/eval/prompt.h"
#include "tasks/eval/records.h"
#include "tasks/eval/summary.h"
#include "tasks/item_progress.h"
#include "tasks/records.h"
#include "tasks/run_folder.h"

namespace caprl {
namespace {

using nlohmann::json;

/// What captions, answers and scores depend on.
std::string decisive_keys(PrismConfig config) {
  config.run.device.clear();
  config.run.threads = 0;
  config.sampling.limits = config.answerer.limits = {};
  config.data.batch_items = 1;
  config.data.bad_rows = BadRows::kStop;
  config.report = {};
  return config_to_yaml(config);
}

void open_folder(const PrismConfig& config) {
  const std::filesystem::path dir = config.run.dir, saved = dir / "config.yaml";
  require_same_run<PrismConfig>(config, saved, decisive_keys);
  create_run_folder(config.run.dir);
  remove_unfinished(dir);
  write_file_atomic(saved, config_to_yaml(config));
  repair_records(dir, kItemRecords);
}

std::unique_ptr<Model> load_model(const std::string& dir, const std::string& dtype,
                                  std::string_view key, at::Device device) {
  return Model::load(dir, {parse_dtype(dtype, fmt::format("config: '{}.dtype'", key)), device,
                           TrainedParts::kNone});
}

json text_json(const std::string& text, const GeneratedSequence& sequence) {
  return {{"text", text},
          {"num_tokens", sequence.ids.size()},
          {"finish_reason", sequence.stopped ? "stop" : "length"}};
}

/// The best of the item's scorers.
double score_of(const EvalItem& item, std::string_view answer) {
  double best = 0;
  for (const std::string& name : item.scorers)
    best = std::max(best, find_scorer(name)(item.expected, answer));
  return best;
}

class EvalRun {
 public:
  EvalRun(const PrismConfig& config, World& world)
      : config_(config),
        world_(world),
        device_(choose_device(config.run.device, world.group().launch().local_rank)),
        captioner_(
            load_model(config.captioner.model, config.captioner.dtype, "captioner", device_)),
        answerer_(load_model(config.answerer.model, config.answerer.dtype, "answerer", device_)),
        prompts_(config.captioner.model, config.captioner.chat_template, captioner_->traits(),
                 config.data.max_prompt_length),
        questions_(config.answerer.model, config.answerer.chat_template, answerer_->traits(),
                   std::numeric_limits<int64_t>::max()) {
    if (!captioner_->traits().image_token_id)
      throw InputError("{}: expected a vision-language model, got {}", config.captioner.model,
                       captioner_->traits().architecture);
  }

  EvalResult run() {
    EvalItems loaded = load_items(config_.data, prompts_.tokenizer());
    items_ = std::move(loaded.items);
    SideChannel ranks(world_.group(), "eval");
    if (world_.is_first()) open_folder(config_);
    ranks.gather("open");
    choose_items();
    ranks.gather("read");  // before anybody writes
    evaluate_all();
    ranks.gather("done");
    EvalResult result;
    if (!world_.is_first()) return result;
    result = summarize(items_, read_records(config_.run.dir, items_), config_);
    result.bad_rows = loaded.num_bad;
    write_file_atomic(std::filesystem::path(config_.run.dir) / "result.json",
                      result_json(result).dump(2) + "\n");
    return result;
  }

 private:
  struct Prepared {
    std::optional<Prompt> prompt;
    std::string error;  // why there is none
  };
  struct Sample {
    const EvalItem* item;
    std::string caption;
    GeneratedSequence caption_tokens;
    std::string output;
    std::optional<GeneratedSequence> output_tokens;  // absent: it could not be asked about
  };

  void choose_items() {
    const auto done = read_records(config_.run.dir, items_);
    for (const EvalItem& item : items_)
      if (world_.group().is_mine(item.index) && !done.contains(item.index)) todo_.push_back(&item);
    log_info("{} items, {} done before, {} to do on this rank", items_.size(), done.size(),
             todo_.size());
  }

  Prepared prepare(int64_t place) const {
    const ImageRow& image = todo_[place]->image;
    try {
      return {prompts_.build(image.prompt, std::span(&image.image, 1), image.where), {}};
    } catch (const InputError& error) {
      if (config_.data.bad_rows == BadRows::kStop) throw;
      log_warning("item skipped: {}", error.what());
      return {std::nullopt, error.what()};
    }
  }

  /// Images are read and cut into patches while others are captioned.
  void evaluate_all() {
    if (todo_.empty()) return;
    JsonlAppender output(
        records_file(config_.run.dir, kItemRecords, world_.group().rank(), world_.group().size()));
    const auto total = static_cast<int64_t>(todo_.size());
    PrefetchQueue<Prepared> queue([this](int64_t place) { return prepare(place); }, 0, total,
                                  static_cast<size_t>(config_.data.batch_items));
    ItemProgress progress(total);
    for (int64_t begin = 0; begin < total; begin += config_.data.batch_items) {
      const int64_t end = std::min(total, begin + config_.data.batch_items);
      world_.at(fmt::format("items {} to {} of this rank's {}", begin, end, total));
      evaluate_batch(begin, end, queue, output);
      progress.update(end, {});
    }
  }

  void evaluate_batch(int64_t begin, int64_t end, PrefetchQueue<Prepared>& queue,
                      JsonlAppender& output) {
    std::vector<const EvalItem*> items;
    std::vector<Prompt> prompts;
    std::vector<json> lines;
    for (int64_t place = begin; place < end; ++place) {
      Prepared prepared = *queue.next();
      if (prepared.prompt) {
        items.push_back(todo_[place]);
        prompts.push_back(*std::move(prepared.prompt));
      } else {
        lines.push_back(line_begin(*todo_[place]));
        lines.back()["error"] = prepared.error;
      }
    }
    std::vector<Sample> samples = caption(items, std::move(prompts));
    answer(samples);
    for (size_t i = 0; i < items.size(); ++i)
      lines.push_back(
          line_of(*items[i], std::span(samples).subspan(i * num_samples(), num_samples())));
    for (const json& line : lines) output.append(line);
  }

  size_t num_samples() const { return static_cast<size_t>(config_.sampling.n); }

  /// [items · samples]
  std::vector<Sample> caption(const std::vector<const EvalItem*>& items,
                              std::vector<Prompt> prompts) const {
    std::vector<GenerationRequest> requests(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      requests[i].prompt = std::move(prompts[i]);
      requests[i].prompt_id = static_cast<uint64_t>(items[i]->index);
      requests[i].suffixes.resize(num_samples());
    }
    if (requests.empty()) return {};
    const SamplingParams params =
        config_.sampling.params(prompts_, captioner_->traits(), config_.run.seed);
    auto captions = generate(*captioner_, requests, params, config_.sampling.limits);
    std::vector<Sample> samples;
    for (size_t i = 0; i < items.size(); ++i)
      for (GeneratedSequence& sequence : captions[i]) {
        std::string text = sequence.text ? *sequence.text : prompts_.text(sequence.ids);
        samples.push_back({items[i], std::move(text), std::move(sequence), {}, std::nullopt});
      }
    return samples;
  }

  std::vector<int64_t> question_ids(const Sample& sample) const {
    return questions_.chat().render(
        answerer_messages(config_.answerer, sample.caption, sample.item->question), true,
        config_.answerer.assistant_prefix);
  }

  /// Questions that do not fit into the answerer's context stay without an answer.
  void answer(std::vector<Sample>& samples) const {
    const int64_t context = answerer_->traits().max_positions;
    std::vector<GenerationRequest> requests;
    std::vector<size_t> asked;
    for (size_t i = 0; i < samples.size(); ++i) {
      std::vector<int64_t> ids = question_ids(samples[i]);
      if (context > 0 && std::ssize(ids) + config_.answerer.max_new_tokens > context) continue;
      GenerationRequest request;
      request.prompt.ids = std::move(ids);
      request.prompt_id = static_cast<uint64_t>(samples[i].item->index);
      request.parent_sample = i % num_samples();
      request.suffixes.resize(1);
      requests.push_back(std::move(request));
      asked.push_back(i);
    }
    if (requests.empty()) return;
    auto outputs = generate(*answerer_, requests, answer_params(), config_.answerer.limits);
    for (size_t r = 0; r < asked.size(); ++r) {
      Sample& sample = samples[asked[r]];
      sample.output_tokens = std::move(outputs[r].front());
      sample.output = questions_.text(sample.output_tokens->ids);
    }
  }

  SamplingParams answer_params() const {
    SamplingParams params;
    params.temperature = config_.answerer.temperature;
    params.top_p = config_.answerer.top_p;
    params.max_new_tokens = config_.answerer.max_new_tokens;
    params.stop_ids = questions_.chat().stop_ids();
    params.seed = static_cast<uint64_t>(config_.run.seed);
    params.purpose = RandomPurpose::kAnswerSampling;
    return params;
  }

  static json line_begin(const EvalItem& item) {
    return {{"index", item.index}, {"id", item.id}, {"benchmark", item.benchmark}};
  }

  json line_of(const EvalItem& item, std::span<const Sample> samples) const {
    json line = line_begin(item);
    line["question"] = item.question;
    line["expected"] = item.expected.answers;
    line["scorer"] = item.scorers;
    line["samples"] = json::array();
    for (const Sample& sample : samples) {
      json one = {{"caption", text_json(sample.caption, sample.caption_tokens)},
                  {"output", nullptr},
                  {"answer", nullptr},
                  {"score", nullptr}};
      if (sample.output_tokens) {
        one["output"] = text_json(sample.output, *sample.output_tokens);
        const auto answer = read_answer(sample.output, config_.answerer.answer);
        if (answer) one["answer"] = *answer;
        one["score"] = answer ? score_of(item, *answer) : 0.0;
      }
      line["samples"].push_back(std::move(one));
    }
    return line;
  }

  const PrismConfig& config_;
  World& world_;
  at::Device device_;
  std::unique_ptr<Model> captioner_, answerer_;
  PromptBuilder prompts_, questions_;
  std::vector<EvalItem> items_;
  std::vector<const EvalItem*> todo_;
};

}  // namespace

EvalResult evaluate(const PrismConfig& config, World& world) {
  config.validate();
  if (config.run.threads > 0) at::set_num_threads(static_cast<int>(config.run.threads));
  return EvalRun(config, world).run();
}

}  // namespace caprl
