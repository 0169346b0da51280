#include "reward/terms/judge_prompt.h"

#include <charconv>

namespace caprl {
namespace {

constexpr std::string_view kOverallScorePrompt =
    R"(You see an image and a caption that somebody wrote for it. Judge how well the caption describes
the image: is what it says true, does it leave out anything that matters, is it clear?
Explain your judgement briefly, then end with one line of the form "Overall Score (1-5): X", where X
is a number from 1 (useless) to 5 (flawless).

Caption:
{caption})";

constexpr std::string_view kBareNumberPrompt =
    R"(You see an image and a caption that somebody wrote for it. Rate the caption by how truthfully
and how completely it describes the image, from 1 (useless) to 5 (flawless).
Reply with the number and nothing else.

Caption:
{caption})";

constexpr std::string_view kMark = "Overall Score";

/// The first number of a text, whatever stands before it.
std::optional<double> first_number(std::string_view text) {
  const size_t begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return std::nullopt;
  if (begin > 0 && text[begin - 1] == '-') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value,
                                            std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<ChatMessage> judge_messages(const std::string& prompt, JudgeVariant variant,
                                        const std::string& caption) {
  std::string text = prompt;
  if (text.empty())
    text = variant == JudgeVariant::kOverallScore ? kOverallScorePrompt : kBareNumberPrompt;
  const size_t place = text.find(kJudgedCaption);
  text.replace(place, kJudgedCaption.size(), caption);
  return {{"user", {{ChatPart::Kind::kImage, {}}, {ChatPart::Kind::kText, text}}}};
}

std::optional<double> parse_judgement(JudgeVariant variant, std::string_view text) {
  if (variant == JudgeVariant::kOverallScore) {
    const size_t mark = text.rfind(kMark);
    if (mark == std::string_view::npos) return std::nullopt;
    text.remove_prefix(mark + kMark.size());
    const size_t colon = text.find(':');  // after the range in parentheses
    if (colon == std::string_view::npos) return std::nullopt;
    text.remove_prefix(colon + 1);
  }
  const auto score = first_number(text);
  return score && *score >= 1 && *score <= 5 ? score : std::nullopt;
}

}  // namespace caprl
