// Conversations in the form of LLaVA's data.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

/// {"id", "image": path, "conversations": [{"from": "human" | "gpt" | "system", "value"}, …]} as
/// rows of supervised training: one for each answer, with what was said before it as its messages;
/// ids of further answers end in "#1", "#2", …. `<image>` stands for the image, which comes first
/// in its message as in LLaVA's training. InputError "WHERE: …" unless questions and answers take
/// turns, and for an image that no question has, or a question that has one where the row has none.
std::vector<nlohmann::json> rows_of_llava(const nlohmann::json& row, const std::string& where);

}  // namespace caprl
