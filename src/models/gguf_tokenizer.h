// The tokenizer inside a GGUF file, as the files of Hugging Face.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "caprl/io/gguf.h"

namespace caprl {

struct GgufTokenizer {
  nlohmann::json tokenizer;  // tokenizer.json
  nlohmann::json config;     // tokenizer_config.json
  int64_t num_tokens;
  std::optional<int64_t> bos, eos, unknown, padding;
};

/// InputError for a tokenizer that is no byte-level BPE or whose pre-tokenizer is not known.
GgufTokenizer read_gguf_tokenizer(const GgufFile& file);

}  // namespace caprl
