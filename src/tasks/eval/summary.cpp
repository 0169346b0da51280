#include "tasks/eval/summary.h"

#include <algorithm>
#include <numeric>

#include "tasks/eval/statistics.h"

namespace caprl {
namespace {

/// A benchmark's result and each of its items' scores.
struct Scored {
  BenchmarkResult result;
  std::vector<double> mean, best;
};

void add(const ItemRecord& record, Scored& to) {
  BenchmarkResult& result = to.result;
  result.captions += record.captions;
  result.truncated_captions += record.truncated_captions;
  result.caption_tokens += record.caption_tokens;
  result.answers += record.answers;
  result.truncated_answers += record.truncated_answers;
  result.unread_answers += record.unread_answers;
  if (record.scores.empty()) {
    ++(record.is_skipped ? result.skipped : result.unanswered);
    return;
  }
  ++result.items;
  const double sum = std::accumulate(record.scores.begin(), record.scores.end(), 0.0);
  to.mean.push_back(sum / static_cast<double>(record.scores.size()));
  to.best.push_back(*std::max_element(record.scores.begin(), record.scores.end()));
}

std::vector<Scored> by_benchmark(const std::vector<EvalItem>& items,
                                 const std::map<int64_t, ItemRecord>& records) {
  std::vector<Scored> all;
  for (const EvalItem& item : items) {
    auto found = std::find_if(all.begin(), all.end(), [&](const Scored& scored) {
      return scored.result.name == item.benchmark;
    });
    if (found == all.end()) {
      all.emplace_back().result.name = item.benchmark;
      found = all.end() - 1;
    }
    if (const auto record = records.find(item.index); record != records.end())
      add(record->second, *found);
  }
  return all;
}

void add_counts(const BenchmarkResult& one, BenchmarkResult& sum) {
  sum.items += one.items;
  sum.unanswered += one.unanswered;
  sum.skipped += one.skipped;
  sum.captions += one.captions;
  sum.truncated_captions += one.truncated_captions;
  sum.caption_tokens += one.caption_tokens;
  sum.answers += one.answers;
  sum.truncated_answers += one.truncated_answers;
  sum.unread_answers += one.unread_answers;
}

}  // namespace

EvalResult summarize(const std::vector<EvalItem>& items,
                     const std::map<int64_t, ItemRecord>& records, const PrismConfig& config) {
  EvalResult result;
  result.samples = config.sampling.n;
  result.items_expected = std::ssize(items);
  result.confidence = config.report.confidence;
  result.resamples = config.report.resamples;
  BenchmarkResult sum;
  sum.name = "average";
  std::vector<double> means, bests;
  std::vector<std::vector<double>> resampled_means, resampled_bests;
  for (Scored& scored : by_benchmark(items, records)) {
    const Bootstrap bootstrap(
        {config.report.confidence, config.report.resamples, static_cast<uint64_t>(config.run.seed)},
        result.benchmarks.size());
    if (scored.result.items > 0) {
      scored.result.mean = bootstrap.estimate(scored.mean);
      scored.result.best = bootstrap.estimate(scored.best);
      means.push_back(scored.result.mean.value);
      bests.push_back(scored.result.best.value);
      resampled_means.push_back(bootstrap.means(scored.mean));
      resampled_bests.push_back(bootstrap.means(scored.best));
    }
    add_counts(scored.result, sum);
    result.benchmarks.push_back(std::move(scored.result));
  }
  if (means.size() >= 2) {
    sum.mean = average_estimate(means, resampled_means, config.report.confidence);
    sum.best = average_estimate(bests, resampled_bests, config.report.confidence);
    result.average = std::move(sum);
  }
  return result;
}

}  // namespace caprl
