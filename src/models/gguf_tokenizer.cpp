#include "gguf_tokenizer.h"

#include <tuple>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using nlohmann::json;

// tokenizer.ggml.token_type
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;
constexpr int64_t kUnused = 5;

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

json in_sequence(json first, json second) {
  return {{"type", "Sequence"}, {"pretokenizers", {std::move(first), std::move(second)}}};
}

json smollm_pretokenizer() {
  return in_sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
}

json qwen2_pretokenizer() {
  // Of Qwen2's published tokenizer.json.
  constexpr const char* kPattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return in_sequence({{"type", "Split"},
                      {"pattern", {{"Regex", kPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}},
                     byte_level(false));
}

struct Splitting {
  std::string_view name;  // tokenizer.ggml.pre
  json (*pretokenizer)();
  bool normalize_nfc;
};

json gpt2_pretokenizer() { return byte_level(true); }

constexpr Splitting kSplittings[] = {{"smollm", smollm_pretokenizer, false},
                                     {"gpt-2", gpt2_pretokenizer, false},
                                     {"default", gpt2_pretokenizer, false},
                                     {"qwen2", qwen2_pretokenizer, true}};

const Splitting& find_splitting(const GgufFile& file) {
  const std::string_view name = file.string("tokenizer.ggml.pre");
  std::string known;
  for (const Splitting& splitting : kSplittings) {
    if (splitting.name == name) return splitting;
    known += (known.empty() ? "" : ", ") + std::string(splitting.name);
  }
  throw InputError("{}: tokenizer.ggml.pre: expected one of {}, got \"{}\"", file.path().string(),
                   known, name);
}

void check_kind(const GgufFile& file) {
  const std::string path = file.path().string();
  const std::string_view model = file.string("tokenizer.ggml.model");
  if (model == "llama")
    throw InputError(
        "{}: tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), got \"llama\"; "
        "SentencePiece tokenizers are not supported",
        path);
  if (model != "gpt2")
    throw InputError("{}: tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), got \"{}\"",
                     path, model);
  for (const char* key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token",
                          "tokenizer.ggml.add_space_prefix"})
    if (file.has(key) && file.boolean(key))
      throw InputError("{}: {}: true is not supported", path, key);
}

std::vector<int64_t> read_types(const GgufFile& file, size_t num_tokens) {
  std::vector<int64_t> types = file.integers("tokenizer.ggml.token_type");
  if (types.size() != num_tokens)
    throw InputError("{}: tokenizer.ggml.token_type: expected one for each of {} tokens, got {}",
                     file.path().string(), num_tokens, types.size());
  return types;
}

/// Tokens that only fill up the embedding have no place in a vocabulary.
json make_vocab(const GgufFile& file, const std::vector<std::string_view>& tokens,
                const std::vector<int64_t>& types) {
  json vocab = json::object();
  for (size_t id = 0; id < tokens.size(); ++id)
    if (types[id] != kUnused && !vocab.emplace(std::string(tokens[id]), id).second)
      throw InputError("{}: tokenizer.ggml.tokens: expected each once, got \"{}\" twice",
                       file.path().string(), tokens[id]);
  return vocab;
}

json make_merges(const GgufFile& file, const json& vocab) {
  json merges = json::array();
  const auto texts = file.strings("tokenizer.ggml.merges");
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string_view text = texts[i];
    const size_t space = text.find(' ');
    const auto fail = [&](const auto& expected) {
      throw InputError("{}: tokenizer.ggml.merges: entry {}: expected {}, got \"{}\"",
                       file.path().string(), i, expected, text);
    };
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
      fail("two tokens with a space between");
    const std::string left(text.substr(0, space)), right(text.substr(space + 1));
    if (!vocab.contains(left) || !vocab.contains(right) || !vocab.contains(left + right))
      fail("two tokens that form a third of the vocabulary");
    merges.push_back({left, right});
  }
  return merges;
}

json make_added_tokens(const std::vector<std::string_view>& tokens,
                       const std::vector<int64_t>& types) {
  json added = json::array();
  for (size_t id = 0; id < tokens.size(); ++id)
    if (types[id] == kControl || types[id] == kUserDefined)
      added.push_back({{"id", id},
                       {"content", tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", types[id] == kControl}});
  return added;
}

std::optional<int64_t> special_id(const GgufFile& file, const char* key, size_t num_tokens) {
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.integer(key);
  if (id < 0 || id >= static_cast<int64_t>(num_tokens))
    throw InputError("{}: {}: expected one of {} ids, got {}", file.path().string(), key,
                     num_tokens, id);
  return id;
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const GgufFile& file) {
  check_kind(file);
  const Splitting& splitting = find_splitting(file);
  const auto tokens = file.strings("tokenizer.ggml.tokens");
  const std::vector<int64_t> types = read_types(file, tokens.size());
  const json vocab = make_vocab(file, tokens, types);
  GgufTokenizer result;
  result.num_tokens = static_cast<int64_t>(tokens.size());
  result.tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", make_added_tokens(tokens, types)},
      {"normalizer", splitting.normalize_nfc ? json({{"type", "NFC"}}) : json()},
      {"pre_tokenizer", splitting.pretokenizer()},
      {"post_processor", nullptr},
      {"decoder", byte_level(true)},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocab},
        {"merges", make_merges(file, vocab)}}},
  };
  // The class that takes tokenizer.json as it is.
  result.config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                   {"add_prefix_space", false},
                   {"clean_up_tokenization_spaces", false}};
  const std::tuple<const char*, const char*, std::optional<int64_t>&> specials[] = {
      {"tokenizer.ggml.bos_token_id", "bos_token", result.bos},
      {"tokenizer.ggml.eos_token_id", "eos_token", result.eos},
      {"tokenizer.ggml.unknown_token_id", "unk_token", result.unknown},
      {"tokenizer.ggml.padding_token_id", "pad_token", result.padding}};
  for (const auto& [key, name, id] : specials) {
    id = special_id(file, key, tokens.size());
    if (id) result.config[name] = tokens[*id];
  }
  if (file.has("tokenizer.chat_template"))
    result.config["chat_template"] = file.string("tokenizer.chat_template");
  return result;
}

}  // namespace caprl
