// What a demonstration run came to.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace caprl::demo {

/// {"reward_before", "reward_after" (held-out images, shares of the maximum), "facts_before",
/// "facts_after" (share of the stated facts that are true), "steps", "checkpoint"} of a run folder
/// with evaluations of its first and last step. InputError if metrics.jsonl holds fewer than two
/// evaluations.
nlohmann::ordered_json summarize(const std::filesystem::path& run,
                                 const std::filesystem::path& truth);

}  // namespace caprl::demo
