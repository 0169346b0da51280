// Makes the tokenizer of a small closed vocabulary, in the files of a Hugging Face model directory.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace caprl {

struct WordTokenizerSpec {
  /// Each is one token, and one token with a space before it where the pre-tokenizer of Qwen2.5
  /// keeps the two together (it does for letters and for punctuation, not for digits).
  std::vector<std::string> words;
  bool images = false;                        // the chat template renders images
  std::optional<std::string> default_system;  // of the chat template; no system message if absent
};

/// Writes tokenizer.json, tokenizer_config.json, vocab.json, merges.txt and chat_template.jinja:
/// byte-level BPE with the normaliser and pre-tokenizer of Qwen2.5, 256 byte tokens (so any text
/// can be encoded), the merges that make the words, then the special tokens of Qwen2.5-VL as added
/// tokens. transformers loads it as Qwen2Tokenizer. InputError for a word that is empty, not NFC,
/// or that the pre-tokenizer splits ("top-left", "12").
void write_word_tokenizer(const std::filesystem::path& dir, const WordTokenizerSpec& spec);

}  // namespace caprl
