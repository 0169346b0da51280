#include "text/tokenizer_json.h"

#include <algorithm>
#include <charconv>

#include "caprl/io/json.h"
#include "text/byte_level.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

using nlohmann::json;

/// Settings of the BPE model that change ids and are not implemented.
void check_model(const JsonPlace& model) {
  const JsonPlace type = model.member("type");
  if (type.string() != "BPE")
    throw InputError("{}: model \"{}\" is not supported, only BPE is", type.where, type.string());
  const auto reject = [&](const char* key, bool is_set) {
    if (is_set)
      throw InputError("{}.{}: {} is not supported", model.where, key,
                       model.member(key).value->dump());
  };
  const auto text_is_set = [&](const char* key) {
    return !model.member(key).is_absent() && !model.member(key).string().empty();
  };
  const JsonPlace dropout = model.member("dropout");
  reject("dropout", !dropout.is_absent() && *dropout.value != 0.0);
  reject("continuing_subword_prefix", text_is_set("continuing_subword_prefix"));
  reject("end_of_word_suffix", text_is_set("end_of_word_suffix"));
}

void read_vocab(const JsonPlace& vocab, Vocabulary& vocabulary) {
  for (const auto& [token, id] : vocab.object()) {
    const JsonPlace place{&id, fmt::format("{}[\"{}\"]", vocab.where, token)};
    vocabulary.add(token, place.integer(), place.where);
  }
}

int32_t id_or_none(const Vocabulary& vocabulary, std::string_view token) {
  return static_cast<int32_t>(vocabulary.find(token).value_or(-1));
}

/// Some bytes may lack a token, as in SmolLM2's file, but a vocabulary without all of the printable
/// ones is of another kind.
void read_byte_level_symbols(const JsonPlace& vocab, const Vocabulary& vocabulary,
                             Symbols& symbols) {
  symbols.byte_level = true;
  for (int byte = 0; byte < 256; ++byte)
    symbols.bytes[byte] = id_or_none(vocabulary, byte_level_char(static_cast<uint8_t>(byte)));
  for (int byte = ' '; byte <= '~'; ++byte) {
    if (symbols.bytes[byte] < 0)
      throw InputError("{}: not byte-level: byte 0x{:02x} has no token \"{}\"", vocab.where, byte,
                       byte_level_char(static_cast<uint8_t>(byte)));
  }
}

void read_character_symbols(const Vocabulary& vocabulary, bool byte_fallback, Symbols& symbols) {
  for (const auto& [token, id] : vocabulary.tokens()) {
    if (!token.empty() && utf8_length(token.front()) == token.size())
      symbols.characters.emplace(token, static_cast<int32_t>(id));
  }
  if (!byte_fallback) return;
  for (int byte = 0; byte < 256; ++byte)
    symbols.bytes[byte] = id_or_none(vocabulary, fmt::format("<0x{:02X}>", byte));
}

void read_symbols(const JsonPlace& model, BpeTokenizerParts& parts) {
  Symbols& symbols = parts.bpe.symbols;
  const bool byte_fallback = model.member("byte_fallback").boolean_or(false);
  if (!parts.pretokenizer.is_byte_level())
    read_character_symbols(parts.vocabulary, byte_fallback, symbols);
  else if (byte_fallback)
    throw InputError("{}.byte_fallback: true is not supported with ByteLevel", model.where);
  else
    read_byte_level_symbols(model.member("vocab"), parts.vocabulary, symbols);
  symbols.fuse_unknown = model.member("fuse_unk").boolean_or(false);
  const JsonPlace unknown = model.member("unk_token");
  if (unknown.is_absent() || unknown.string().empty()) return;
  const auto id = parts.vocabulary.find(unknown.string());
  if (!id)
    throw InputError("{}: token \"{}\" is not in the vocabulary", unknown.where, unknown.string());
  symbols.unknown = static_cast<int32_t>(*id);
}

/// "left right" or ["left", "right"].
std::pair<std::string, std::string> read_pair(const JsonPlace& merge) {
  if (merge.value->is_array() && merge.array().size() == 2)
    return {merge.element(0).string(), merge.element(1).string()};
  if (merge.value->is_string()) {
    const std::string& text = merge.string();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  throw InputError("{}: expected \"left right\" or [\"left\", \"right\"], got {}", merge.where,
                   merge.value->dump());
}

void read_merges(const JsonPlace& merges, BpeTokenizerParts& parts) {
  const auto id_of = [&](const std::string& token, size_t i) {
    const auto id = parts.vocabulary.find(token);
    if (!id)
      throw InputError("{}[{}]: token \"{}\" is not in the vocabulary", merges.where, i, token);
    return static_cast<int32_t>(*id);
  };
  parts.bpe.merges.reserve(merges.array().size());
  for (size_t i = 0; i < merges.array().size(); ++i) {
    const auto [left, right] = read_pair(merges.element(i));
    parts.bpe.merges.push_back({id_of(left, i), id_of(right, i), id_of(left + right, i)});
  }
}

AddedToken read_added_token(const JsonPlace& config, int64_t id) {
  if (config.member("single_word").boolean_or(false))
    throw InputError("{}.single_word: true is not supported", config.where);
  AddedToken token{
      config.member("content").string(),          id,
      config.member("special").boolean_or(false), config.member("normalized").boolean_or(false),
      config.member("lstrip").boolean_or(false),  config.member("rstrip").boolean_or(false)};
  if (token.content.empty()) throw InputError("{}.content: is empty", config.where);
  return token;
}

void add_token(const JsonPlace& config, int64_t id, BpeTokenizerParts& parts) {
  AddedToken token = read_added_token(config, id);
  parts.vocabulary.add(token.content, id, config.where);
  for (const AddedToken& other : parts.added_tokens) {
    if (other.id == id) throw InputError("{}: \"{}\" is added twice", config.where, token.content);
  }
  parts.added_tokens.push_back(std::move(token));
}

/// The tokens before the text in {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": …}]}.
void read_template(const JsonPlace& processor, BpeTokenizerParts& parts) {
  const JsonPlace single = processor.member("single");
  for (size_t i = 0; i < single.array().size(); ++i) {
    const JsonPlace token = single.element(i).member("SpecialToken");
    if (token.is_absent()) return;
    const JsonPlace ids =
        processor.member("special_tokens").member(token.member("id").string()).member("ids");
    for (size_t k = 0; k < ids.array().size(); ++k)
      parts.prefix_ids.push_back(ids.element(k).integer());
  }
}

/// Other kinds change offsets, or are of models that are not for generation.
void read_post_processor(const JsonPlace& processor, BpeTokenizerParts& parts) {
  if (processor.is_absent()) return;
  const std::string& type = processor.member("type").string();
  if (type == "TemplateProcessing") read_template(processor, parts);
  if (type != "Sequence") return;
  const JsonPlace list = processor.member("processors");
  for (size_t i = 0; i < list.array().size(); ++i) read_post_processor(list.element(i), parts);
}

}  // namespace

BpeTokenizerParts read_tokenizer_json(const std::filesystem::path& file) {
  const json content = read_json(file);
  const JsonPlace root{&content, file.string() + ": "};
  root.object();
  const JsonPlace model = root.member("model");
  model.object();
  check_model(model);
  BpeTokenizerParts parts;
  parts.normalizer = Normalizer::from_json(root.member("normalizer"));
  parts.pretokenizer = Pretokenizer::from_json(root.member("pre_tokenizer"));
  parts.detokenizer = DetokenizerRules::from_json(root.member("decoder"));
  read_vocab(model.member("vocab"), parts.vocabulary);
  read_symbols(model, parts);
  read_merges(model.member("merges"), parts);
  if (model.member("ignore_merges").boolean_or(false)) {
    const bool is_byte_level = parts.pretokenizer.is_byte_level();
    for (const auto& [token, id] : parts.vocabulary.tokens())
      parts.bpe.whole_words.emplace(is_byte_level ? byte_level_decode(token) : token,
                                    static_cast<int32_t>(id));
  }
  if (const JsonPlace added = root.member("added_tokens"); !added.is_absent()) {
    for (size_t i = 0; i < added.array().size(); ++i) {
      const JsonPlace token = added.element(i);
      token.object();
      add_token(token, token.member("id").integer(), parts);
    }
  }
  read_post_processor(root.member("post_processor"), parts);
  return parts;
}

std::vector<AddedToken> read_added_tokens_decoder(const std::filesystem::path& file) {
  const json content = read_json(file);
  const JsonPlace decoder =
      JsonPlace{&content, file.string() + ": "}.member("added_tokens_decoder");
  std::vector<AddedToken> tokens;
  if (decoder.is_absent()) return tokens;
  for (const auto& [key, token_json] : decoder.object()) {
    const JsonPlace token{&token_json, fmt::format("{}[\"{}\"]", decoder.where, key)};
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 ||
        id >= Vocabulary::kMaxIds)
      throw InputError("{}: expected an id as the key", token.where);
    tokens.push_back(read_added_token(token, id));
  }
  return tokens;
}

void add_tokens_of_config(const std::filesystem::path& file, BpeTokenizerParts& parts) {
  for (AddedToken& token : read_added_tokens_decoder(file)) {
    const std::string where =
        fmt::format("{}: added_tokens_decoder[\"{}\"]", file.string(), token.id);
    const auto same_id =
        std::find_if(parts.added_tokens.begin(), parts.added_tokens.end(),
                     [&](const AddedToken& other) { return other.id == token.id; });
    if (same_id == parts.added_tokens.end()) {
      parts.vocabulary.add_or_rename(token.content, token.id, where);
      parts.added_tokens.push_back(std::move(token));
    } else {
      parts.vocabulary.add(token.content, token.id, where);  // equal, or an error
    }
  }
}

}  // namespace caprl
