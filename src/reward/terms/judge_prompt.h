// What the judge is asked, and its answer as a number.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/text/chat.h"

namespace caprl {

/// The two published ways to ask (their meaning, in other words): a judgement that ends with
/// "Overall Score (1-5): X" (UnifiedReward), or the number alone (Qwen2.5-VL).
enum class JudgeVariant { kOverallScore, kBareNumber };

inline constexpr std::string_view kJudgedCaption = "{caption}";

/// One user turn: the image, then `prompt`, or the variant's own if it is empty.
std::vector<ChatMessage> judge_messages(const std::string& prompt, JudgeVariant variant,
                                        const std::string& caption);

/// A score from 1 to 5: what follows the last "Overall Score", or the text's first number; nothing
/// if there is none or it is out of range.
std::optional<double> parse_judgement(JudgeVariant variant, std::string_view text);

}  // namespace caprl
