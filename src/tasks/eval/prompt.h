// What the answerer is asked.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "caprl/tasks/eval.h"
#include "caprl/text/chat.h"

namespace caprl {

/// InputError for a configured prompt without its placeholders; an empty one is the built-in one.
void check_prompt(std::string_view prompt);

std::vector<ChatMessage> answerer_messages(const EvalAnswererConfig& config,
                                           std::string_view caption, std::string_view question);

}  // namespace caprl
