#include "caprl/tasks/caption.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/queue.h"
#include "caprl/generation/prompts.h"
#include "caprl/io/jsonl.h"
#include "tasks/caption_folder.h"
#include "tasks/image_record.h"
#include "tasks/inputs/inputs.h"
#include "tasks/item_progress.h"
#include "tasks/rows_writer.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CaptionRun {
 public:
  CaptionRun(const CaptionConfig& config, World& world)
      : config_(config),
        world_(world),
        model_(Model::load(config.captioner.model,
                           {parse_dtype(config.captioner.dtype, "config: 'captioner.dtype'"),
                            choose_device(config.run.device, world.group().launch().local_rank),
                            TrainedParts::kNone})),
        prompts_(config.captioner.model, config.captioner.chat_template, model_->traits(),
                 config.data.max_prompt_length) {
    if (!model_->traits().image_token_id)
      throw InputError("{}: expected a vision-language model, got {}", config.captioner.model,
                       model_->traits().architecture);
  }

  CaptionCounts run() {
    CaptionFolder folder(config_, world_.group());
    const InputSpec spec = caption_inputs(config_.data, prompts_.shared_tokenizer());
    SideChannel ranks(world_.group(), "caption");
    if (folder.is_opener()) folder.open(spec);
    ranks.gather("open");
    const Inputs inputs(spec, config_.run.dir, folder.manifest());
    const IndexSet done = folder.done(inputs.size());
    ranks.gather("read");  // before anybody writes
    const auto is_mine = [&](int64_t i) {
      return folder.is_mine(i) && inputs.is_distinct(i) && !done.contains(i);
    };
    int64_t total = 0;
    for (int64_t i = 0; i < inputs.size(); ++i) {
      total += is_mine(i);
      counts_.found += folder.is_mine(i) && done.contains(i);
    }
    counts_.duplicates = inputs.num_duplicates();
    log_info("{} images to caption, {} done before", total, counts_.found);
    CaptionWriter output = folder.writer();
    if (total > 0) caption_all(inputs, is_mine, total, output);
    output.close();
    ranks.gather("done");
    if (folder.is_opener()) folder.finish(inputs);
    return counts_;
  }

 private:
  struct Prepared {
    InputItem item;
    std::optional<Prompt> prompt;  // absent: item.error says why
  };
  struct Open {
    InputItem item;
    int64_t left;
    std::vector<GeneratedSequence> samples;
  };

  Prepared prepare(InputItem item) const {
    Prepared prepared{std::move(item), std::nullopt};
    const ImageRow& row = prepared.item.row;
    try {
      if (!prepared.item.error.empty()) throw InputError("{}", prepared.item.error);
      prepared.prompt = prompts_.build(row.prompt, std::span(&row.image, 1), row.where);
      // Many may wait: what the prompt has is not kept twice.
      prepared.item.value = nullptr;
      if (!config_.output.embed_images) {
        prepared.item.row.image.bytes.clear();
        prepared.item.row.image.bytes.shrink_to_fit();
      }
    } catch (const InputError& error) {
      if (config_.data.bad_rows == BadRows::kStop) throw;
      prepared.item.error = error.what();
    }
    return prepared;
  }

  /// Images are read and cut into patches while others are captioned.
  void caption_all(const Inputs& inputs, const std::function<bool(int64_t)>& is_mine, int64_t total,
                   CaptionWriter& output) {
    constexpr size_t kAhead = 16;
    Generator generator(*model_,
                        config_.sampling.params(prompts_, model_->traits(), config_.run.seed),
                        config_.sampling.limits);
    InputStream stream(inputs);
    PrefetchQueue<Prepared> queue(
        [&](int64_t) {
          auto item = stream.next(is_mine);
          if (!item) throw InputError("{}: the data has changed beneath the run", config_.run.dir);
          return prepare(*std::move(item));
        },
        0, total, kAhead);
    ItemProgress progress(total);
    std::unordered_map<int64_t, Open> open;
    int64_t taken = 0, tokens = 0;
    const auto start = std::chrono::steady_clock::now();
    const auto show = [&] {
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      progress.update(counts_.captioned + counts_.skipped,
                      {{"images/s", static_cast<double>(counts_.captioned) / seconds.count(), 2},
                       {"tokens/s", static_cast<double>(tokens) / seconds.count(), 0}});
    };
    const auto set_aside = [&](const InputItem& item) {
      log_warning("set aside: {}", item.error);
      output.set_aside(item);
      ++counts_.skipped;
      show();
    };
    while (taken < total || !generator.idle()) {
      // What is ready joins in; what is not is waited for only when there is nothing else to do.
      while (taken < total && (generator.idle() || queue.ready()) &&
             generator.num_unfinished() < 2 * config_.sampling.limits.max_num_seqs) {
        Prepared prepared = *queue.next();
        ++taken;
        if (prepared.prompt) submit(generator, prepared, open);
        if (!prepared.item.error.empty()) set_aside(prepared.item);
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
        show();
      }
    }
  }

  /// A prompt that does not fit leaves an error.
  void submit(Generator& generator, Prepared& prepared, std::unordered_map<int64_t, Open>& open) {
    GenerationRequest request;
    request.prompt = *std::move(prepared.prompt);
    request.prompt_id = static_cast<uint64_t>(prepared.item.index);
    request.suffixes.resize(static_cast<size_t>(config_.sampling.n));
    try {
      const int64_t number =
          at_place(prepared.item.where, [&] { return generator.submit(std::move(request)); });
      open[number] = {prepared.item, config_.sampling.n,
                      std::vector<GeneratedSequence>(static_cast<size_t>(config_.sampling.n))};
    } catch (const InputError& error) {
      if (config_.data.bad_rows == BadRows::kStop) throw;
      prepared.item.error = error.what();
    }
  }

  std::string text_of(const GeneratedSequence& sample) const {
    return sample.text ? *sample.text : prompts_.text(sample.ids);
  }

  json line_of(const Open& image) const {
    const ImageRow& row = image.item.row;
    json line = {{"index", image.item.index}, {"id", row.id}, {"image", nullptr}};
    if (config_.output.embed_images) {
      line["image"] = image_record(row.image, true);
      encode_bytes(line["image"]);
    } else if (!row.image.path.empty()) {
      line["image"] = row.image.path.string();
    }
    if (config_.output.records == CaptionRecords::kPairs) {
      line["caption"] = text_of(image.samples.front());
      return line;
    }
    line["captions"] = json::array();
    for (const GeneratedSequence& sample : image.samples)
      line["captions"].push_back({{"text", text_of(sample)},
                                  {"num_tokens", sample.ids.size()},
                                  {"finish_reason", sample.stopped ? "stop" : "length"}});
    return line;
  }

  const CaptionConfig& config_;
  World& world_;
  std::unique_ptr<Model> model_;
  PromptBuilder prompts_;
  CaptionCounts counts_;
};

}  // namespace

CaptionCounts caption_images(const CaptionConfig& config, World& world) {
  config.validate();
  if (config.run.threads > 0) at::set_num_threads(static_cast<int>(config.run.threads));
  return CaptionRun(config, world).run();
}

}  // namespace caprl
