// Rows as question curation reads them.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "caprl/reward/question.h"
#include "caprl/text/tokenizer.h"
#include "tasks/qa/extract.h"

namespace caprl {

/// A published row's "image_path" becomes "image"; a prompt for the captioner is not one for the
/// writer, and is left out.
void adapt_qa_row(nlohmann::json& row);

/// The questions that a row brings, in one of the forms
///   {"qa_response": text}                                        a model's text
///   {"qa_list": [{"question": with its options, "answer"}]}
///   {"reward_model": {"ground_truth": [{"question", "choices", "answer"}]}}
///   {"questions": [{"question", "choices", "answer"}]}
/// A malformed question is told with the others; InputError without a place if the row has none of
/// these.
Extraction given_questions(const nlohmann::json& row);

/// Moves questions that have one of the tokenizer's added tokens to the malformed ones: training
/// refuses them.
void refuse_added_tokens(Extraction& extraction, const Tokenizer& tokenizer);

}  // namespace caprl
