// One step's groups of captions, sampled by several ranks and trained by several ranks.
#pragma once
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
/// first, each to the rank that has least. The same on every rank.
std::vector<int> deal(std::span<const int64_t> sizes, int ranks);

}  // namespace caprl
