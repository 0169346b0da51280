// tokenizer.json, as Hugging Face tokenizers writes it, to the parts of a BpeTokenizer.
#pragma once
#include <filesystem>

#include "text/bpe_tokenizer.h"

namespace caprl {

/// InputError names the file and the part that is missing, contradictory or not supported.
BpeTokenizerParts read_tokenizer_json(const std::filesystem::path& file);

/// The tokens of tokenizer_config.json's `added_tokens_decoder`; none if it is absent.
std::vector<AddedToken> read_added_tokens_decoder(const std::filesystem::path& file);

/// Adds those of them that `parts` lacks. One may give
/// an ordinary token another name, as InternLM2's "<|im_end|>" does.
void add_tokens_of_config(const std::filesystem::path& file, BpeTokenizerParts& parts);

}  // namespace caprl
