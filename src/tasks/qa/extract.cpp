#include "tasks/qa/extract.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"
#include "caprl/text/words.h"
#include "tasks/qa/lines.h"
#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

constexpr size_t kExcerpt = 120;

struct Block {
  std::optional<int64_t> number;
  bool is_heading = false;
  std::string text;
  std::vector<OptionLine> options;
  std::optional<std::string> answer;

  /// A text alone may be a preface or an explanation.
  bool is_question() const { return number || !options.empty() || answer; }
};

std::string same_text(std::string_view text) {
  return lower_and_squeeze(without_full_stop(unwrap(text)));
}

/// The choice of this text, whatever its case.
std::optional<int64_t> choice_of(std::string_view text, const std::vector<OptionLine>& options) {
  for (size_t i = 0; i < options.size(); ++i)
    if (same_text(options[i].text) == same_text(text)) return static_cast<int64_t>(i);
  return std::nullopt;
}

char letter(int64_t label) { return static_cast<char>('A' + label); }

int64_t find_answer(const Block& block) {
  const auto count = std::ssize(block.options);
  const std::string answer(trim(without_full_stop(unwrap(*block.answer))));
  std::optional<OptionLine> labelled;
  if (const auto options = option_line(answer); !options.empty()) labelled = options.front();
  if (!labelled && answer.size() == 1 && std::isalpha(static_cast<unsigned char>(answer[0])))
    labelled = OptionLine{std::toupper(static_cast<unsigned char>(answer[0])) - 'A', {}};
  if (!labelled) {
    if (const auto choice = choice_of(answer, block.options)) return *choice;
  } else if (labelled->label < count) {
    const auto other =
        labelled->text.empty() ? std::nullopt : choice_of(labelled->text, block.options);
    if (other && *other != labelled->label)
      throw InputError("the answer '{}' contradicts itself: the text is that of {}", *block.answer,
                       letter(*other));
    return labelled->label;
  }
  throw InputError("the answer '{}' is none of its {} choices", excerpt(*block.answer, kExcerpt),
                   count);
}

Question question_of(const Block& block, std::string_view where) {
  if (block.options.empty()) throw InputError("it has no choices");
  for (size_t i = 0; i < block.options.size(); ++i)
    if (block.options[i].label != static_cast<int64_t>(i))
      throw InputError("expected the choices' labels in order, {} next, got {}",
                       letter(static_cast<int64_t>(i)), letter(block.options[i].label));
  if (!block.answer) throw InputError("it has no answer");
  nlohmann::json choices = nlohmann::json::array();
  for (const OptionLine& option : block.options)
    choices.push_back(fmt::format("{}) {}", letter(option.label), option.text));
  return parse_question({{"question", block.text},
                         {"choices", choices},
                         {"answer", std::string(1, letter(find_answer(block)))}},
                        where);
}

class Extractor {
 public:
  Extraction run(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      take(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    finish();
    return std::move(result_);
  }

 private:
  void take(std::string_view line) {
    if (trim(line).empty()) {
      if (!block_.is_question()) block_ = {};
      return;
    }
    if (const auto answer = answer_line(line); answer && !block_.answer && block_.is_question()) {
      block_.answer = *answer;
      return;
    }
    if (const auto options = option_line(line); !options.empty() && takes_options(options)) {
      block_.options.insert(block_.options.end(), options.begin(), options.end());
      return;
    }
    if (const auto start = question_start(line); start && begins(*start)) {
      finish();
      block_.number = start->number;
      block_.is_heading = start->is_heading;
      block_.text = start->text;
      return;
    }
    go_on(line);
  }

  /// An option A after options or an answer belongs to a question without a number.
  bool takes_options(const std::vector<OptionLine>& options) {
    if (block_.answer) return false;
    const auto next = std::ssize(block_.options);
    return options.front().label == next || (next > 0 && options.front().label > 0);
  }

  /// A number within a question ("1. red things") is part of its text.
  bool begins(const QuestionStart& start) const {
    return start.is_heading || block_.answer || !block_.options.empty() || !block_.number;
  }

  void go_on(std::string_view line) {
    const std::string more = plain_line(line);
    if (more.find_first_not_of("-=_*") == std::string::npos) return;  // a rule
    if (block_.answer) {
      // Explanations; or the text of a next question without a number.
      finish();
      block_.text = more;
      return;
    }
    std::string& text = block_.options.empty() ? block_.text : block_.options.back().text;
    text += (text.empty() ? "" : "\n") + more;
  }

  void finish() {
    const Block block = std::exchange(block_, {});
    if (!block.is_question()) return;
    ++number_;
    try {
      Question question = question_of(block, "question");
      const std::string key = same_text(question.text);
      if (!known_.insert(key).second) throw InputError("it is the same as one before it");
      result_.questions.push_back(std::move(question));
    } catch (const InputError& error) {
      result_.malformed.push_back({number_, excerpt(block.text, kExcerpt), error.what()});
    }
  }

  Block block_;
  Extraction result_;
  std::set<std::string> known_;
  int64_t number_ = 0;
};

}  // namespace

Extraction extract_questions(std::string_view text) { return Extractor().run(text); }

}  // namespace caprl
