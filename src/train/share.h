// One step's groups of captions, sampled by several ranks and trained by several ranks.
#pragma once
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/dist/group.h"
#include "caprl/train/rollout.h"

namespace caprl {

/// Every rank's groups for every rank, by prompt id: rows, captions and rewards, the prompts
/// without their images. `rows` are the rows that the groups' are of, the same on every rank. Adds
/// up "data/bad_rows", and says how long this rank waited for the others.
void share_groups(const Group& group, std::span<const CaptionRow> rows,
                  std::vector<CaptionGroup>& groups, Metrics& metrics);

/// Which rank works on which of `count` things, by tokens, none on more than `most` of them.
/// num_tokens(i) is asked of one rank only.
std::vector<int> deal_by_tokens(const Group& group, int64_t count,
                                const std::function<int64_t(int64_t)>& num_tokens,
                                int64_t most = std::numeric_limits<int64_t>::max());
/// Which rank samples for which of `count` prompts: by tokens, but equally many each, for they take
/// equally many passes of decoding.
std::vector<int> deal_prompts(const Group& group, int64_t count,
                              const std::function<int64_t(int64_t)>& num_tokens);

/// perf/rank_idle_s/max and /mean: how long ranks waited for slower ones, of timing_s/wait_gen and
/// timing_s/wait_update.
void add_idle_metrics(const Group& group, Metrics& metrics);

/// Says which rank trains which group: within each of the mini-batches by tokens.
void deal_groups(std::vector<CaptionGroup>& groups, int64_t mini_batches, int ranks);

/// The groups of mini-batch `index` of `count`.
template <class Groups>
auto mini_batch(Groups& groups, int64_t index, int64_t count) {
  const auto size = static_cast<int64_t>(groups.size());
  const int64_t begin = size * index / count, end = size * (index + 1) / count;
  return std::span(groups).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

/// Which rank gets which of things of these sizes, so that the largest sum is small: the largest
/// first, each to the rank that has least, of those with fewer than `most` things. The same on
/// every rank.
std::vector<int> deal(std::span<const int64_t> sizes, int ranks,
                      int64_t most = std::numeric_limits<int64_t>::max());

}  // namespace caprl
