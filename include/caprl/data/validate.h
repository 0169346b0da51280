// Every row of data files by the rules of training.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "caprl/data/reader.h"
#include "caprl/generation/prompts.h"

namespace caprl {

struct ValidationCounts {
  std::string file;
  int64_t rows = 0, bad = 0;
  bool unusable = false;  // the file itself, from some row on
};

/// Reads each row, checks it as `kind` and makes its prompt, decoding its images, as a training
/// step would. report(sentence) of every fault, in the files' order.
std::vector<ValidationCounts> validate_data(const std::vector<std::string>& files, RowKind kind,
                                            const PromptBuilder& prompts,
                                            const std::function<void(const std::string&)>& report);

}  // namespace caprl
