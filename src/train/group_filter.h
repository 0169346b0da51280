// Which groups of captions enter the update.
#pragma once
#include <cstdint>
#include <vector>

#include "caprl/train/advantage.h"
#include "caprl/train/rollout.h"

namespace caprl {

/// DAPO's dynamic sampling (arXiv 2503.14476, section 3.2; verl's filter_groups): groups whose
/// rewards give nothing to compare are put aside, and further batches are sampled until enough
/// groups are left. Without it every group enters.
class GroupFilter {
 public:
  /// `wanted`: groups of an update.
  GroupFilter(const FilterGroupsConfig& config, int64_t wanted)
      : config_(config), wanted_(wanted) {}

  /// The groups of one more batch.
  void add(std::vector<CaptionGroup> groups);
  /// Whether another batch is to be sampled.
  bool wants_more() const;

  int64_t num_batches() const { return num_batches_; }
  /// Those of the update, at most `wanted`, in the order in which they came.
  std::vector<CaptionGroup>& kept() { return kept_; }
  /// All groups by prompt id: the kept ones and those put aside. Nothing is left here then.
  std::vector<CaptionGroup> take_all();

 private:
  FilterGroupsConfig config_;
  int64_t wanted_, num_batches_ = 0;
  std::vector<CaptionGroup> kept_, aside_;
};

/// Whether the rewards of the group's captions give nothing to compare.
bool all_rewards_equal(const CaptionGroup& group);

}  // namespace caprl
