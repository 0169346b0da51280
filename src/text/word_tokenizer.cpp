#include "caprl/text/word_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/pretokenizer.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kSpecialTokens[] = {"<|endoftext|>",    "<|im_start|>",   "<|im_end|>",
                                          "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
                                          "<|image_pad|>",    "<|video_pad|>"};

/// The pre-tokenizer that transformers' Qwen2Tokenizer always uses.
json pretokenizer_json() {
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", false},
                           {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwenPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
}

Pretokenizer make_pretokenizer() {
  const nlohmann::json config = pretokenizer_json();
  return Pretokenizer::from_json({&config, "word tokenizer"});
}

/// Grows a vocabulary by appending merges. An appended merge has the lowest priority, so it never
/// comes before those that make an earlier word: words stay whole once they are.
class MergeBuilder {
 public:
  MergeBuilder() {
    parts_.symbols.byte_level = true;
    for (int byte = 0; byte < 256; ++byte)
      tokens_.push_back(std::string(1, static_cast<char>(byte)));
    // The order of GPT-2's vocabulary: by the characters that stand for the bytes.
    std::sort(tokens_.begin(), tokens_.end(), [](const std::string& a, const std::string& b) {
      return byte_level_encode(a) < byte_level_encode(b);
    });
    for (int id = 0; id < 256; ++id) {
      parts_.symbols.bytes[static_cast<uint8_t>(tokens_[id][0])] = id;
      id_of_token_[tokens_[id]] = id;
    }
  }

  /// Appends the merges that are missing for the word to be one token, from left to right.
  void add(const std::string& word) {
    while (true) {
      std::vector<int64_t> ids;
      Bpe(parts_).encode(word, ids);
      if (ids.size() == 1) return;
      const auto left = static_cast<int32_t>(ids[0]);
      const auto right = static_cast<int32_t>(ids[1]);
      const std::string product = tokens_[left] + tokens_[right];
      const auto [place, is_new] =
          id_of_token_.emplace(product, static_cast<int32_t>(tokens_.size()));
      if (is_new) tokens_.push_back(product);
      parts_.merges.push_back({left, right, place->second});
    }
  }

  json vocab() const {
    json result = json::object();
    for (size_t id = 0; id < tokens_.size(); ++id) result[byte_level_encode(tokens_[id])] = id;
    return result;
  }
  json merges() const {
    json result = json::array();
    for (const PairMerge& merge : parts_.merges)
      result.push_back(byte_level_encode(tokens_[merge.left]) + " " +
                       byte_level_encode(tokens_[merge.right]));
    return result;
  }
  size_t num_tokens() const { return tokens_.size(); }

 private:
  BpeParts parts_;
  std::vector<std::string> tokens_;  // bytes, by id
  std::unordered_map<std::string, int32_t> id_of_token_;
};

bool is_one_piece(const Pretokenizer& pretokenizer, const std::string& text) {
  int num_pieces = 0;
  pretokenizer.split(text, true, [&](std::string_view) { ++num_pieces; });
  return num_pieces == 1;
}

MergeBuilder build_merges(const std::vector<std::string>& words) {
  const Pretokenizer pretokenizer = make_pretokenizer();
  MergeBuilder builder;
  for (const std::string& word : words) {
    check_utf8(word);
    if (word.empty() || normalize_nfc(word) != word)
      throw InputError("word \"{}\": expected text in normalisation form C, not empty", word);
    if (!is_one_piece(pretokenizer, word))
      throw InputError("word \"{}\": the pre-tokenizer splits it, so it cannot be one token", word);
    builder.add(word);
  }
  // After all words: " all" then grows out of "all", not out of " a".
  for (const std::string& word : words) {
    if (is_one_piece(pretokenizer, " " + word)) builder.add(" " + word);
  }
  return builder;
}

json added_token(const char* content) {
  return {{"content", content}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},    {"normalized", false},  {"special", true}};
}

json tokenizer_json(const MergeBuilder& merges) {
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", false},
                           {"use_regex", false}};
  json added = json::array();
  for (const char* token : kSpecialTokens) {
    json entry = {{"id", merges.num_tokens() + added.size()}};
    entry.update(added_token(token));
    added.push_back(entry);
  }
  const json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", ""},
                      {"end_of_word_suffix", ""},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", false},
                      {"vocab", merges.vocab()},
                      {"merges", merges.merges()}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", pretokenizer_json()},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model", model}};
}

json tokenizer_config(const MergeBuilder& merges) {
  json decoder = json::object();
  json additional = json::array();
  for (const char* token : kSpecialTokens) {
    decoder[std::to_string(merges.num_tokens() + decoder.size())] = added_token(token);
    if (decoder.size() > 1) additional.push_back(token);  // <|endoftext|> is the padding token
  }
  return {{"tokenizer_class", "Qwen2Tokenizer"},
          {"added_tokens_decoder", decoder},
          {"additional_special_tokens", additional},
          {"bos_token", nullptr},
          {"eos_token", "<|im_end|>"},
          {"pad_token", "<|endoftext|>"},
          {"unk_token", nullptr},
          {"add_prefix_space", false},
          {"add_bos_token", false},
          {"clean_up_tokenization_spaces", false},
          {"errors", "replace"},
          {"model_max_length", 32768},
          {"split_special_tokens", false}};
}

std::string merges_txt(const json& merges) {
  std::string text = "#version: 0.2\n";
  for (const json& merge : merges) text += merge.get<std::string>() + "\n";
  return text;
}

std::string chat_template(const WordTokenizerSpec& spec) {
  std::string text = "{% for message in messages %}";
  if (spec.default_system) {
    if (spec.default_system->find_first_of("{}") != std::string::npos)
      throw InputError("default system message \"{}\": braces are not supported",
                       *spec.default_system);
    text += "{% if loop.first and message.role != 'system' %}<|im_start|>system\n" +
            *spec.default_system + "<|im_end|>\n{% endif %}";
  }
  text += "<|im_start|>{{ message.role }}\n";
  if (spec.images) {
    text +=
        "{% if message.content is string %}{{ message.content }}{% else %}"
        "{% for part in message.content %}"
        "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}";
  } else {
    text += "{{ message.content }}";
  }
  return text +
         "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif "
         "%}\n";
}

}  // namespace

void write_word_tokenizer(const std::filesystem::path& dir, const WordTokenizerSpec& spec) {
  const MergeBuilder merges = build_merges(spec.words);
  const std::string template_text = chat_template(spec);
  std::filesystem::create_directories(dir);
  write_file_atomic(dir / "tokenizer.json", tokenizer_json(merges).dump(1));
  write_file_atomic(dir / "tokenizer_config.json", tokenizer_config(merges).dump(1));
  write_file_atomic(dir / "vocab.json", merges.vocab().dump());
  write_file_atomic(dir / "merges.txt", merges_txt(merges.merges()));
  write_file_atomic(dir / "chat_template.jinja", template_text);
}

}  // namespace caprl
