#include "caprl/train/grpo_trainer.h"

#include <future>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/timer.h"
#include "caprl/generation/prompts.h"
#include "caprl/train/learner.h"
#include "caprl/train/profile.h"
#include "caprl/train/rollout.h"
#include "train/diagnostics.h"
#include "train/group_filter.h"
#include "train/memory_advice.h"
#include "train/memory_use.h"
#include "train/policy_update.h"
#include "train/session.h"
#include "train/share.h"
#include "train/step_metrics.h"

namespace caprl {
namespace {

ModelOptions reference_options(const ReferenceConfig& config, const Session& session) {
  return {parse_dtype(config.dtype, "config: 'reference.dtype'"),
          session.device(),
          TrainedParts::kNone,
          {&session.group(), config.shard_layers}};
}

std::vector<std::string> ids(const std::vector<CaptionGroup>& groups) {
  std::vector<std::string> ids;
  for (const CaptionGroup& group : groups) ids.push_back(group.row->id);
  return ids;
}

}  // namespace

struct GrpoTrainer::Impl {
  GrpoConfig config;
  Session session;
  Learner learner;
  PromptBuilder prompts;
  RewardModel reward;
  std::unique_ptr<Model> loaded_reference;  // only with a KL term that needs one
  Dataset<CaptionRow> train_rows, val_rows;
  DataOrder order;
  TokenBudget budget;
  PhaseTimers timers;
  std::string samples;       // of this rank's groups of the step, for messages
  int64_t data_batches = 0;  // of rows, used so far
  std::string caption;       // the newest, to be shown
  Metrics leakage;           // the same at every evaluation: questions and answerer are
  int64_t traced_steps;
  struct Loaded {
    std::vector<CaptionGroup> groups;
    int64_t unusable = 0;
  };
  std::future<Loaded> ahead;  // the next batch, if it is being loaded; destroyed first

  Impl(GrpoConfig given, const std::string& resume, World& world, int64_t traced_steps)
      : config(std::move(given)),
        session(config, config.train.total_steps, resume, world),
        learner(config.policy.model, session.weights_dir(config.policy.model),
                config.policy.options(session.device(), config.run.seed,
                                      config.train.gradient_checkpointing),
                config.optimizer, world.group(), config.parallel),
        prompts(config.policy.model, config.policy.chat_template, learner.model().traits(),
                config.data.max_prompt_length),
        reward(config.reward, static_cast<uint64_t>(config.run.seed), session.device(),
               world.group()),
        train_rows(load_caption_rows(config.data.train_files, config.data.bad_rows,
                                     prompts.tokenizer(), config.data.questions_per_image)),
        val_rows(
            load_caption_rows(config.data.val_files, config.data.bad_rows, prompts.tokenizer())),
        order(static_cast<int64_t>(train_rows.rows.size()), config.data.train_batch_size,
              config.data.shuffle, static_cast<uint64_t>(config.run.seed)),
        budget(config.train.micro_tokens),
        traced_steps(traced_steps) {
    if (!learner.model().traits().image_token_id)
      throw InputError("{}: expected a vision-language model, got {}", config.policy.model,
                       learner.model().traits().architecture);
    if (config.algorithm.use_kl_loss && !config.reference_is_base()) {
      const std::string& dir =
          config.reference.model.empty() ? config.policy.model : config.reference.model;
      loaded_reference = Model::load(dir, reference_options(config.reference, session));
    }
    log_info("{}: {}", config.policy.model, describe_training(learner.model()));
    log_info("{} images to train on, {} held out, {} bad rows skipped", train_rows.rows.size(),
             val_rows.rows.size(), train_rows.num_skipped + val_rows.num_skipped);
    check_trace();
    session.open(learner);
    data_batches = session.start().data_batches;
  }

  /// What the KL term compares with, where there is one.
  const Model* reference() const {
    if (!config.algorithm.use_kl_loss) return nullptr;
    return loaded_reference ? loaded_reference.get() : &learner.model();
  }

  void check_trace() const {
    const int64_t left = config.train.total_steps - session.start().step;
    if (traced_steps > 0 && traced_steps >= left)
      throw InputError("--profile: {} steps after a first one are to be traced, but there are {}",
                       traced_steps, left);
  }

  /// Rollouts and their update: the drawing in docs/ARCHITECTURE.md. Each rank samples, scores and
  /// trains its share of the groups; in between all ranks know all groups.
  Metrics step(int64_t step) {
    Metrics metrics;
    const PeakMemory memory(session.device());
    GroupFilter filter(config.algorithm.filter_groups, config.data.train_batch_size);
    {
      const auto whole = timers.measure("step");
      GenerationStats generation;
      do filter.add(rollout(step, ++data_batches, generation, metrics));
      while (filter.wants_more());
      add_generation_metrics(generation, metrics);
      std::vector<CaptionGroup>& groups = filter.kept();
      if (config.reward.shuffle_rewards)
        shuffle_rewards(static_cast<uint64_t>(config.run.seed), static_cast<uint64_t>(step),
                        groups);
      compare_within_groups(groups);
      deal_update(groups);
      timed(step, "update_actor", [&] {
        update_policy(learner, reference(), config, session.group(), groups, step, budget, metrics);
      });
    }
    metrics["train/num_gen_batches"] = static_cast<double>(filter.num_batches());
    metrics["train/num_groups"] = static_cast<double>(filter.kept().size());
    metrics.merge(timers.take());
    add_idle_metrics(session.group(), metrics);
    memory.add_to(metrics);
    const std::vector<CaptionGroup> groups = filter.take_all();
    add_rollout_metrics(groups, metrics);
    add_question_metrics(groups, metrics);
    caption = groups.back().captions.back().text;
    metrics["perf/throughput"] = metrics["perf/total_num_tokens"] / metrics["timing_s/step"];
    metrics["training/epoch"] = order.epochs(data_batches);
    if (config.log.rollouts && session.world().is_first())
      write_rollouts(session.folder().step_file("rollouts", step), step, groups,
                     prompts.tokenizer());
    return metrics;
  }

  /// The first step warms up.
  bool traced(int64_t step) const {
    const int64_t place = step - session.start().step;
    return place > 1 && place <= 1 + traced_steps;
  }

  Metrics step_with_trace(int64_t s) {
    Trace trace;
    Metrics metrics = step(s);
    trace.save(session.folder().dir() / "trace" /
               fmt::format("step_{:06}_rank_{}.json", s, session.group().rank()));
    return metrics;
  }

  /// Captions of one batch of rows and their rewards, those of all ranks.
  std::vector<CaptionGroup> rollout(int64_t step, int64_t batch, GenerationStats& generation,
                                    Metrics& metrics) {
    std::vector<CaptionGroup> groups;
    Metrics counts;
    samples.clear();
    timed(step, "data", [&] { groups = next_groups(step, batch, counts); });
    samples = ", " + name_samples(ids(groups));
    timed(step, "gen", [&] {
      learner.wait_for_weights();
      generation += sample_captions(learner.model(), prompts, config.rollout.n, sampling(step),
                                    config.rollout.limits, groups);
    });
    timed(step, "reward", [&] { score_captions(reward, static_cast<uint64_t>(step), groups); });
    timed(step, "share", [&] { share_groups(session.group(), train_rows.rows, groups, counts); });
    if (groups.empty())
      throw InputError("step {}: none of its {} rows is usable", step, counts["data/bad_rows"]);
    for (const auto& [name, value] : counts) metrics[name] += value;
    return groups;
  }

  template <class Work>
  void timed(int64_t step, const char* phase, Work work) {
    const std::string place = session.at(step, phase, samples);
    const auto scope = timers.measure(phase);
    const TracedPhase span(phase);
    with_memory_advice(place, work);
  }

  /// Those of the next batch are loaded meanwhile.
  std::vector<CaptionGroup> next_groups(int64_t step, int64_t batch, Metrics& metrics) {
    Loaded loaded = ahead.valid() ? ahead.get() : load_groups(my_items(batch));
    const bool goes_on = step < config.train.total_steps || config.algorithm.filter_groups.enable;
    if (config.data.prefetch && goes_on)
      ahead = std::async(std::launch::async,
                         [this, mine = my_items(batch + 1)] { return load_groups(mine); });
    metrics["data/bad_rows"] = static_cast<double>(loaded.unusable);
    return std::move(loaded.groups);
  }

  /// What this rank samples for in a batch. All ranks take part.
  std::vector<DataOrder::Item> my_items(int64_t batch) const {
    const auto items = order.step(batch);
    const auto row = [&](int64_t i) -> const CaptionRow& {
      return train_rows.rows[items[i].index];
    };
    std::vector<DataOrder::Item> mine;
    for (const int64_t i : my_rows(static_cast<int64_t>(items.size()), row))
      mine.push_back(items[i]);
    return mine;
  }

  /// On any thread.
  Loaded load_groups(const std::vector<DataOrder::Item>& items) const {
    Loaded loaded;
    for (const DataOrder::Item& item : items)
      loaded.unusable += !append_group(train_rows.rows[item.index],
                                       static_cast<uint64_t>(item.place), loaded.groups);
    return loaded;
  }

  /// Which of `count` rows this rank samples for.
  std::vector<int64_t> my_rows(int64_t count,
                               const std::function<const CaptionRow&(int64_t)>& row) const {
    const auto owners = deal_prompts(session.group(), count, [&](int64_t i) -> int64_t {
      try {
        return prompts.num_tokens(row(i).prompt, std::span(&row(i).image, 1));
      } catch (const InputError&) {
        return 0;  // said by who loads it
      }
    });
    std::vector<int64_t> mine;
    for (int64_t i = 0; i < count; ++i)
      if (owners[static_cast<size_t>(i)] == session.group().rank()) mine.push_back(i);
    return mine;
  }

  /// Divides the update among the ranks by tokens, and has the images here that this one trains.
  void deal_update(std::vector<CaptionGroup>& groups) const {
    deal_groups(groups, config.train.ppo_mini_batches, session.group().size());
    for (CaptionGroup& group : groups)
      if (group.trained_by == session.group().rank() && group.prompt.images.empty())
        group.prompt =
            prompts.build(group.row->prompt, std::span(&group.row->image, 1), group.row->where);
  }

  /// False: the row's image or prompt is bad and bad rows are skipped.
  bool append_group(const CaptionRow& row, uint64_t prompt_id,
                    std::vector<CaptionGroup>& groups) const {
    return use_row(config.data.bad_rows, [&] {
      Prompt prompt = prompts.build(row.prompt, std::span(&row.image, 1), row.where);
      groups.push_back({&row, prompt_id, std::move(prompt), {}});
    });
  }

  SamplingParams sampling(int64_t step) const {
    SamplingParams params;
    params.temperature = config.rollout.temperature;
    params.max_new_tokens = config.rollout.response_length;
    params.stop_ids = prompts.chat().stop_ids();
    params.banned_ids = learner.model().traits().vision_token_ids;
    params.seed = static_cast<uint64_t>(config.run.seed);
    params.step = static_cast<uint64_t>(step);
    return params;
  }

  void compare_within_groups(std::vector<CaptionGroup>& groups) const {
    for (CaptionGroup& group : groups) {
      std::vector<std::optional<double>> rewards;
      for (const Caption& caption : group.captions) rewards.push_back(caption.reward.value);
      const auto advantages = group_advantages(rewards, config.algorithm);
      for (size_t i = 0; i < advantages.size(); ++i) group.captions[i].advantage = advantages[i];
    }
  }

  /// Captions of the held-out images and their rewards, with the same questions every time.
  void evaluate(int64_t step, Metrics& metrics) {
    session.at(step, "evaluation");
    learner.wait_for_weights();
    std::vector<CaptionGroup> groups;
    Metrics unusable{{"data/bad_rows", 0}};
    const auto row = [&](int64_t i) -> const CaptionRow& { return val_rows.rows[i]; };
    for (const int64_t i : my_rows(static_cast<int64_t>(val_rows.rows.size()), row))
      append_group(row(i), static_cast<uint64_t>(i), groups);
    SamplingParams params = sampling(0);
    params.temperature = config.eval.temperature;
    sample_captions(learner.model(), prompts, config.eval.n, params, config.rollout.limits, groups);
    score_captions(reward, 0, groups);
    if (leakage.empty()) add_leakage(reward, session.group(), groups, leakage);
    metrics.insert(leakage.begin(), leakage.end());
    share_groups(session.group(), val_rows.rows, groups, unusable);
    if (groups.empty()) throw InputError("evaluation: none of the held-out rows is usable");
    add_validation_metrics(groups, metrics);
    if (!session.world().is_first()) return;
    log_notable_captions(groups);
    write_rollouts(session.folder().step_file("eval", step), step, groups, prompts.tokenizer());
  }

  bool evaluation_due(int64_t step) const {
    return config.eval.freq > 0 &&
           (step == 0 || step == config.train.total_steps || step % config.eval.freq == 0);
  }

  void run() {
    if (session.start().step == 0 && evaluation_due(0)) {
      Metrics metrics;
      evaluate(0, metrics);
      session.record(0, metrics, {{"held-out reward", metrics["val/reward/mean"], 3}});
    }
    for (int64_t s = session.start().step + 1; s <= config.train.total_steps; ++s) {
      Metrics metrics = traced(s) ? step_with_trace(s) : step(s);
      if (evaluation_due(s)) evaluate(s, metrics);
      session.record(s, metrics,
                     {{"reward", metrics["critic/rewards/mean"], 3},
                      {"length", metrics["response_length/mean"], 1},
                      {"tokens/s", metrics["perf/throughput"], 0}},
                     caption);
      session.end_step(s, metrics, learner, data_batches);
    }
  }
};

GrpoTrainer::GrpoTrainer(GrpoConfig config, const std::string& resume, World& world,
                         int64_t traced_steps) {
  config.validate();
  config.parallel.check_batch(config.data.train_batch_size, world.group().size());
  impl_ = std::make_unique<Impl>(std::move(config), resume, world, traced_steps);
}
GrpoTrainer::~GrpoTrainer() = default;
void GrpoTrainer::run() {
  impl_->session.run([&] { impl_->run(); });
}

}  // namespace caprl
