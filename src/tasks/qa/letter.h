// Which option a model has chosen.
#pragma once
#include <string_view>

#include "caprl/reward/question.h"

namespace caprl {

/// The label of the one option that the text names: by a letter that stands alone ("B", "(B)",
/// "**B)** red", "The answer is B."), or by the option's whole text; 0 where it names none or
/// several. A letter within a word is none ("Cannot tell" does not choose C), nor is the article
/// "A". `question` is the one asked, in the order of asked.order.
char chosen_letter(std::string_view text, const AskedQuestion& asked, const Question& question);

}  // namespace caprl
