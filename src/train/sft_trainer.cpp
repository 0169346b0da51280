#include "caprl/train/sft_trainer.h"

#include <algorithm>
#include <future>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/timer.h"
#include "caprl/generation/prompts.h"
#include "caprl/generation/shared_prefix.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/learner.h"
#include "caprl/train/loss_batch.h"
#include "train/memory_use.h"
#include "train/session.h"
#include "train/share.h"
#include "train/token_budget.h"

namespace caprl {
namespace {

/// One row as tokens.
struct Example {
  Prompt prompt;
  std::vector<int64_t> response;
};

ScoredSequence share_prefix(const std::vector<Example>& examples) {
  std::vector<std::vector<int64_t>> prompts;
  for (const Example& example : examples) prompts.push_back(example.prompt.ids);
  const int64_t shared = shared_length(prompts, /*left=*/0);
  ScoredSequence scored;
  const auto& first = examples.front().prompt;
  scored.sequence.prefix = {{first.ids.begin(), first.ids.begin() + shared}, first.images};
  for (const Example& example : examples) {
    auto& branch = scored.sequence.branches.emplace_back(example.prompt.ids.begin() + shared,
                                                         example.prompt.ids.end());
    scored.branches.push_back({static_cast<int64_t>(branch.size()), 0, 0});
    branch.insert(branch.end(), example.response.begin(), example.response.end());
  }
  return scored;
}

/// Token mean over the whole step: `tokens` are all ranks'.
void set_weights(std::vector<ScoredSequence>& sequences, int64_t tokens) {
  for (ScoredSequence& scored : sequences)
    for (ScoredBranch& branch : scored.branches) branch.weight = 1.0 / static_cast<double>(tokens);
}

int64_t num_scored(const std::vector<ScoredSequence>& sequences) {
  int64_t tokens = 0;
  for (const ScoredSequence& scored : sequences)
    for (size_t b = 0; b < scored.branches.size(); ++b) tokens += scored.length(b);
  return tokens;
}

/// The sums of several numbers over all ranks.
std::vector<double> sums(const Group& ranks, const std::vector<double>& mine) {
  std::vector<double> sums(mine.size(), 0);
  for (const auto& theirs : gather_numbers(ranks, mine))
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += theirs[i];
  return sums;
}

}  // namespace

struct SftTrainer::Impl {
  SftConfig config;
  Session session;
  Learner learner;
  PromptBuilder prompts;
  Dataset<SftRow> rows;
  DataOrder order;  // of groups of consecutive rows
  TokenBudget budget;
  PhaseTimers timers;
  std::vector<std::string> samples;  // ids of the first rows of this rank's groups, for messages
  struct Loaded {
    std::vector<ScoredSequence> sequences;
    int64_t unusable = 0;
    std::vector<std::string> ids;
  };
  std::future<Loaded> ahead;  // the next step's, if it is being loaded; destroyed first

  Impl(SftConfig given, const std::string& resume, World& world)
      : config(std::move(given)),
        session(config, config.train.total_steps, resume, world),
        learner(config.policy.model, session.weights_dir(config.policy.model),
                config.policy.options(session.device(), config.run.seed,
                                      config.train.gradient_checkpointing),
                config.optimizer, world.group(), config.parallel),
        prompts(config.policy.model, config.policy.chat_template, learner.model().traits(),
                config.data.max_prompt_length),
        rows(load_sft_rows(config.data.train_files, config.data.bad_rows, prompts.tokenizer())),
        order((static_cast<int64_t>(rows.rows.size()) + config.data.rows_per_group - 1) /
                  config.data.rows_per_group,
              config.data.train_batch_size, config.data.shuffle,
              static_cast<uint64_t>(config.run.seed)),
        budget(config.train.micro_tokens) {
    log_info("{}: {}", config.policy.model, describe_training(learner.model()));
    log_info("{} rows to train on, {} bad rows skipped", rows.rows.size(), rows.num_skipped);
    session.open(learner);
  }

  Metrics step(int64_t step) {
    Metrics metrics;
    session.at(step, "data");
    const std::vector<ScoredSequence> sequences = next_sequences(step, metrics);
    session.at(step, "update");
    learner.wait_for_weights();
    const auto passes = budget.pack(
        sequences, [&](size_t i) { return fmt::format("step {}, sequence {}", step, i + 1); });
    learner.begin(static_cast<int64_t>(passes.size()));
    std::vector<at::Tensor> losses;  // on the device, which is waited for once
    for (const auto& pass : passes) {
      learner.begin_pass();
      std::vector<ScoredSequence> together;
      for (const size_t i : pass) together.push_back(sequences[i]);
      const LossBatch batch = make_loss_batch(together, learner.model());
      const at::Tensor micro_loss = ops::cross_entropy_loss(
          hidden_rows(learner.model(), batch), learner.model().head_weight(), batch.targets,
          batch.weights, config.train.loss_chunk_tokens, nullptr, learner.model().head_gradient());
      micro_loss.backward();
      learner.end_pass();
      losses.push_back(micro_loss.detach());
    }
    double loss = 0;
    for (const at::Tensor& micro_loss : losses) loss += micro_loss.item<double>();
    const UpdateResult update =
        learner.finish(step, config.train.total_steps, config.train.max_skipped_steps, samples);
    metrics["train/loss"] = sums(session.group(), {loss})[0];
    metrics["train/grad_norm"] = update.grad_norm;
    metrics["train/lr"] = update.lr;
    metrics["train/skipped_updates"] = update.skipped;
    metrics["training/epoch"] = order.epochs(step);
    return metrics;
  }

  /// Those of the next step are loaded meanwhile.
  std::vector<ScoredSequence> next_sequences(int64_t step, Metrics& metrics) {
    auto [sequences, unusable, ids] = ahead.valid() ? ahead.get() : load_sequences(my_groups(step));
    samples = std::move(ids);
    if (config.data.prefetch && step < config.train.total_steps)
      ahead = std::async(std::launch::async,
                         [this, mine = my_groups(step + 1)] { return load_sequences(mine); });
    const auto all = sums(
        session.group(), {static_cast<double>(num_scored(sequences)), static_cast<double>(unusable),
                          static_cast<double>(sequences.size())});
    if (all[2] == 0) throw InputError("step {}: none of its {} rows is usable", step, all[1]);
    set_weights(sequences, static_cast<int64_t>(all[0]));
    metrics["data/bad_rows"] = all[1];
    return std::move(sequences);
  }

  /// The groups of a step that this rank trains on. All ranks take part.
  std::vector<int64_t> my_groups(int64_t step) const {
    const auto items = order.step(step);
    const auto owners = deal_by_tokens(
        session.group(), static_cast<int64_t>(items.size()),
        [&](int64_t i) { return num_tokens(rows_of(items[static_cast<size_t>(i)].index)); });
    std::vector<int64_t> mine;
    for (size_t i = 0; i < items.size(); ++i)
      if (owners[i] == session.group().rank()) mine.push_back(items[i].index);
    return mine;
  }

  std::span<const SftRow> rows_of(int64_t group) const {
    const auto size = static_cast<size_t>(config.data.rows_per_group);
    const size_t begin = static_cast<size_t>(group) * size;
    return std::span(rows.rows).subspan(begin, std::min(size, rows.rows.size() - begin));
  }

  int64_t num_tokens(std::span<const SftRow> of) const {
    int64_t tokens = 0;
    for (const SftRow& row : of) {
      try {
        tokens += prompts.num_tokens(row.messages, row.images) +
                  static_cast<int64_t>(prompts.response(row.response).size());
      } catch (const InputError&) {
        continue;  // said by who loads it
      }
    }
    return tokens;
  }

  /// On any thread.
  Loaded load_sequences(const std::vector<int64_t>& groups) const {
    Loaded loaded;
    for (const int64_t group : groups) {
      loaded.ids.push_back(rows_of(group).front().id);
      std::vector<Example> examples = load_examples(rows_of(group), loaded.unusable);
      if (examples.empty()) continue;
      // Images are part of the prefix, so only rows without any share one.
      const bool any_image = std::any_of(examples.begin(), examples.end(),
                                         [](const Example& e) { return !e.prompt.images.empty(); });
      if (examples.size() == 1 || !any_image) {
        loaded.sequences.push_back(share_prefix(examples));
      } else {
        for (Example& example : examples)
          loaded.sequences.push_back(share_prefix({std::move(example)}));
      }
    }
    return loaded;
  }

  std::vector<Example> load_examples(std::span<const SftRow> of, int64_t& unusable) const {
    std::vector<Example> examples;
    for (const SftRow& row : of) {
      unusable += !use_row(config.data.bad_rows, [&] {
        examples.push_back(
            {prompts.build(row.messages, row.images, row.where), prompts.response(row.response)});
      });
    }
    return examples;
  }

  void run() {
    for (int64_t s = session.start().step + 1; s <= config.train.total_steps; ++s) {
      Metrics metrics;
      {
        const auto scope = timers.measure("step");
        const PeakMemory memory(session.device());
        metrics = step(s);
        memory.add_to(metrics);
      }
      metrics.merge(timers.take());
      session.record(s, metrics, {{"loss", metrics["train/loss"], 4}});
      session.end_step(s, metrics, learner, s);
    }
  }
};

SftTrainer::SftTrainer(SftConfig config, const std::string& resume, World& world) {
  config.validate();
  config.parallel.check_batch(config.data.train_batch_size, world.group().size());
  impl_ = std::make_unique<Impl>(std::move(config), resume, world);
}
SftTrainer::~SftTrainer() = default;
void SftTrainer::run() {
  impl_->session.run([&] { impl_->run(); });
}

}  // namespace caprl
