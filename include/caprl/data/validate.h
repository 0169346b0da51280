// Every row of data files by the rules of training.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "caprl/data/reader.h"
#include "caprl/generation/prompts.h"

namespace caprl {

/// What is read of images: all of them, or as much as tells their size.
enum class ImageCheck { kPixels, kHeader };

struct ValidationCounts {
  std::string file;
  int64_t rows = 0, bad = 0;
  bool unusable = false;  // the file itself, from some row on
  // Of the good rows, if headers are read only:
  int64_t prompt_tokens = 0, image_tokens = 0;        // the images' are among the prompts'
  int64_t longest_prompt = 0;                         // tokens
  int64_t response_tokens = 0, longest_response = 0;  // of supervised rows
};

/// Reads each row, checks it as `kind` and makes its prompt, decoding its images, as a training
/// step would; with kHeader prompts are counted only. report(sentence) of every fault, in the
/// files' order.
std::vector<ValidationCounts> validate_data(const std::vector<std::string>& files, RowKind kind,
                                            const PromptBuilder& prompts,
                                            const std::function<void(const std::string&)>& report,
                                            ImageCheck images = ImageCheck::kPixels);

}  // namespace caprl
