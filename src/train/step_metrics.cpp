#include "train/step_metrics.h"

#include <algorithm>
#include <map>

#include "caprl/reward/group_values.h"
#include "train/group_filter.h"

namespace caprl {

void Summary::add(double max, double mean, int64_t count) {
  max_ = count_ ? std::max(max_, max) : max;
  sum_ += mean * static_cast<double>(count);
  count_ += count;
}

namespace {

/// Standard deviation of the group's rewards; of fewer than two there is none.
std::optional<double> reward_deviation(const CaptionGroup& group) {
  std::vector<std::optional<double>> rewards;
  for (const Caption& caption : group.captions)
    if (caption.reward.value) rewards.push_back(caption.reward.value);
  if (rewards.size() < 2) return std::nullopt;
  return group_moments(rewards).deviation;
}

}  // namespace

void add_rollout_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics) {
  Summary rewards, deviations, advantages, lengths;
  std::map<std::string, Summary> terms;
  int64_t truncated = 0, zero_std = 0, invalid_captions = 0, right = 0, asked = 0, abstained = 0,
          invalid_answers = 0;
  for (const CaptionGroup& group : groups) {
    zero_std += all_rewards_equal(group);
    if (const auto deviation = reward_deviation(group)) deviations.add(*deviation);
    for (const Caption& caption : group.captions) {
      lengths.add(static_cast<double>(caption.sampled.ids.size()));
      truncated += !caption.sampled.stopped;
      right += caption.reward.num_right;
      asked += caption.reward.num_asked;
      for (const AnswerRecord& answer : caption.reward.answers) {
        invalid_answers += !answer.valid;
        abstained += answer.abstained();
      }
      for (const TermScore& term : caption.reward.terms)
        if (term.value) terms[term.name].add(*term.value);
      if (!caption.reward.value) {
        ++invalid_captions;
        continue;
      }
      rewards.add(*caption.reward.value);
      advantages.add(caption.advantage);
    }
  }
  const auto share = [](int64_t part, int64_t whole) {
    return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  metrics["critic/rewards/mean"] = rewards.mean();
  metrics["critic/rewards/max"] = rewards.max();
  metrics["reward_std"] = deviations.mean();
  metrics["critic/advantages/max"] = advantages.max();
  metrics["frac_reward_zero_std"] = share(zero_std, static_cast<int64_t>(groups.size()));
  metrics["perf/total_num_tokens"] = lengths.mean() * static_cast<double>(lengths.count());
  metrics["response_length/mean"] = lengths.mean();
  metrics["response_length/max"] = lengths.max();
  metrics["response_length/clip_ratio"] = share(truncated, lengths.count());
  metrics["reward/accuracy"] = share(right, asked);
  for (const auto& [name, values] : terms) metrics["reward/" + name] = values.mean();
  metrics["reward/abstained"] = share(abstained, asked);
  metrics["reward/invalid_answers"] = static_cast<double>(invalid_answers);
  metrics["reward/invalid_captions"] = static_cast<double>(invalid_captions);
}

void add_generation_metrics(const GenerationStats& stats, Metrics& metrics) {
  const auto rate = [](auto amount, auto per) {
    return per > 0 ? static_cast<double>(amount) / static_cast<double>(per) : 0.0;
  };
  metrics["perf/rollout_prefill_tokens_per_s"] = rate(stats.prompt_tokens, stats.prefill_seconds);
  metrics["perf/rollout_decode_tokens_per_s"] = rate(stats.decode_tokens, stats.decode_seconds);
  metrics["perf/rollout_mean_batch"] = rate(stats.decode_tokens, stats.decode_steps);
  metrics["perf/rollout_kv_cache_usage"] = rate(stats.peak_pages, stats.num_pages);
  metrics["perf/rollout_preemptions"] = static_cast<double>(stats.preemptions);
  metrics["timing_s/gen_prefill"] = stats.prefill_seconds;
  metrics["timing_s/gen_decode"] = stats.decode_seconds;
  metrics["timing_s/gen_sample"] = stats.sample_seconds;
  metrics["timing_s/gen_host"] = stats.host_seconds;
}

void add_validation_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics) {
  Summary rewards, accuracies, lengths;
  for (const CaptionGroup& group : groups)
    for (const Caption& caption : group.captions) {
      lengths.add(static_cast<double>(caption.sampled.ids.size()));
      if (caption.reward.value) rewards.add(*caption.reward.value);
      if (caption.reward.accuracy) accuracies.add(*caption.reward.accuracy);
    }
  metrics["val/reward/mean"] = rewards.mean();
  metrics["val/reward/accuracy"] = accuracies.mean();
  metrics["val/response_length/mean"] = lengths.mean();
}

}  // namespace caprl
