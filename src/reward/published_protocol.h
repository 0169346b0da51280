// From a published request to its rewards, but for the answers themselves.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "caprl/reward/reward.h"
#include "wire.h"

namespace caprl {

/// What each caption is asked. The random numbers of a caption's draws are addressed by the content
/// of its entry (seed, step 0, prompt id = WireCaption::id, sample 0), so that the same request is
/// asked the same.
std::vector<Inquiry> draw_inquiries(std::span<const WireCaption> captions,
                                    const RewardConfig& config, uint64_t seed);

/// [captions]; every caption by itself, for requests do not say which are of one group.
std::vector<std::optional<double>> rewards_of(std::span<const Inquiry> inquiries,
                                              std::span<const std::vector<Answer>> answers,
                                              const RewardConfig& config);

}  // namespace caprl
