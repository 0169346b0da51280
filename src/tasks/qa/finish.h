// The last stage: which questions stay, the rows for training, and what became of the rest.
#pragma once
#include "tasks/qa/stage.h"

namespace caprl {

/// Why a question that was asked is dropped; empty: it is kept. `question` as answered.jsonl has
/// it.
std::string drop_reason(const nlohmann::json& question, const QaFilterConfig& config);

/// Writes questions.jsonl (or .parquet), dropped.jsonl and result.json.
QaResult finish_questions(const QaRun& run);

}  // namespace caprl
