// From items to the table.
#pragma once
#include <map>
#include <vector>

#include "tasks/eval/records.h"

namespace caprl {

EvalResult summarize(const std::vector<EvalItem>& items,
                     const std::map<int64_t, ItemRecord>& records, const PrismConfig& config);

}  // namespace caprl
