#include "train/group_filter.h"

#include <algorithm>
#include <iterator>

#include "caprl/reward/group_values.h"

namespace caprl {

bool all_rewards_equal(const CaptionGroup& group) {
  std::vector<std::optional<double>> rewards;
  for (const Caption& caption : group.captions) rewards.push_back(caption.reward.value);
  return nothing_to_compare(rewards);
}

void GroupFilter::add(std::vector<CaptionGroup> groups) {
  ++num_batches_;
  for (CaptionGroup& group : groups) {
    const bool is_full = std::ssize(kept_) >= wanted_;
    const bool is_out = config_.enable && (is_full || all_rewards_equal(group));
    (is_out ? aside_ : kept_).push_back(std::move(group));
  }
}

bool GroupFilter::wants_more() const {
  return config_.enable && std::ssize(kept_) < wanted_ &&
         num_batches_ < config_.max_num_gen_batches;
}

std::vector<CaptionGroup> GroupFilter::take_all() {
  std::vector<CaptionGroup> all = std::move(kept_);
  std::move(aside_.begin(), aside_.end(), std::back_inserter(all));
  kept_.clear();
  aside_.clear();
  std::ranges::sort(all, {}, &CaptionGroup::prompt_id);
  return all;
}

}  // namespace caprl
