// What reward servers and their clients send each other.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "answerer.h"

namespace caprl {

/// One entry of the published request: a caption and its questions.
struct WireCaption {
  std::string caption;
  std::vector<Question> questions;
  uint64_t id = 0;  // 64-bit FNV-1a of the entry as compact JSON
};

/// {"prompts": [[caption, [[question with choices, answer letter], …]], …]}; "query" and "labels"
/// are passed over, as by the published server. InputError names the entry.
std::vector<WireCaption> parse_get_reward(std::string_view body);
/// {"rewards": […]}; null where no answer was valid.
std::string get_reward_answer(const std::vector<std::optional<double>>& rewards);

/// caprl's own request: questions as they are put to the answerer, so that draws and counts are the
/// client's. {"inquiries": [{"caption", "prompt_id", "sample", "seed", "step", "questions":
/// [{"text", "num_options", "right", "abstain"}]}]}
std::string answer_request(std::span<const Inquiry> inquiries);
std::vector<Inquiry> parse_answer_request(std::string_view body);
/// {"answers": [[{"valid", "output", "given", "right_probability"}]]}
std::string answers_to_json(const std::vector<std::vector<Answer>>& answers);
/// InputError if there are not as many answers as questions.
std::vector<std::vector<Answer>> parse_answers(std::string_view body,
                                               std::span<const Inquiry> inquiries);

}  // namespace caprl
