#include "caprl/core/error.h"
#include "caprl/reward/question.h"

namespace caprl {

std::string AskedQuestion::labels() const {
  const int64_t num_choices = num_options - (abstain ? 1 : 0);
  std::string labels;
  for (int64_t i = 0; i < num_choices; ++i) labels.push_back(static_cast<char>('A' + i));
  if (abstain) labels.push_back(abstain);
  return labels;
}

AskedQuestion ask(const Question& question, int64_t index, std::vector<int64_t> order,
                  const AbstainOption& abstain) {
  const auto count = static_cast<int64_t>(question.choices.size());
  AskedQuestion asked;
  asked.question = index;
  asked.num_options = count;
  asked.text = question.text;
  const auto add_option = [&asked](char label, const std::string& text) {
    asked.text += fmt::format("\n{}) {}", label, text);
  };
  for (int64_t place = 0; place < count; ++place) {
    const int64_t choice = order.empty() ? place : order[place];
    const char label = static_cast<char>('A' + place);
    if (choice == question.answer) asked.right = label;
    add_option(label, question.choices[choice]);
  }
  if (!abstain.text.empty()) {
    const char next = static_cast<char>('A' + count);
    const bool is_free = !abstain.label.empty() && abstain.label[0] >= next;
    asked.abstain = is_free ? abstain.label[0] : next;
    add_option(asked.abstain, abstain.text);
    ++asked.num_options;
  }
  asked.order = std::move(order);
  return asked;
}

}  // namespace caprl
