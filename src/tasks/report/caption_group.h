// The records of one group's captions, in the page's form.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "tasks/report/thumbnails.h"

namespace caprl {

/// {"step", "id", "image" or "no_image", "questions": [{"text", "options": [[label, text]],
/// "right", "abstain"}], "captions": [{"tokens" and "logprobs" or "text", "num_tokens", "reward",
/// "advantage", "terms", "right", "asked", "stopped", "answers": [{"question", "given", "output",
/// "probability", "invalid"}]}]}. `records`: lines of a rollouts file about one prompt; what older
/// versions did not write is left out. nlohmann's exceptions for what is no such record.
nlohmann::json describe_group(const std::vector<nlohmann::json>& records, Thumbnails& images);

/// Text in place of tokens and log-probabilities, which are most of a long caption's bytes.
void leave_out_tokens(nlohmann::json& group);

}  // namespace caprl
