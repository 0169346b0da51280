#include "text/tokenizer_json.h"

#include <algorithm>
#include <charconv>

#include "caprl/io/json.h"
#include "text/byte_level.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr int64_t kMaxIds = 1 << 24;

int64_t read_id(const JsonPlace& place) {
  const int64_t id = place.integer();
  if (id < 0 || id >= kMaxIds)
    throw InputError("{}: expected an id from 0 to {}, got {}", place.where, kMaxIds - 1, id);
  return id;
}

/// True for NFC, false for none.
bool read_normalizer(const JsonPlace& config) {
  if (config.is_absent()) return false;
  const std::string& type = config.member("type").string();
  if (type == "NFC") return true;
  if (type != "Sequence")
    throw InputError("{}.type: normalizer \"{}\" is not supported, only NFC is", config.where,
                     type);
  const JsonPlace list = config.member("normalizers");
  bool normalize_nfc = false;
  for (size_t i = 0; i < list.array().size(); ++i)
    normalize_nfc |= read_normalizer(list.element(i));
  return normalize_nfc;
}

void check_decoder(const JsonPlace& config) {
  const std::string& type = config.member("type").string();
  if (type != "ByteLevel")
    throw InputError("{}.type: decoder \"{}\" is not supported, only ByteLevel is", config.where,
                     type);
}

/// Settings of the BPE model that change ids and are not implemented.
void check_model(const JsonPlace& model) {
  const JsonPlace type = model.member("type");
  if (type.string() != "BPE")
    throw InputError("{}: model \"{}\" is not supported, only byte-level BPE is", type.where,
                     type.string());
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
  reject("byte_fallback", model.member("byte_fallback").boolean_or(false));
  reject("continuing_subword_prefix", text_is_set("continuing_subword_prefix"));
  reject("end_of_word_suffix", text_is_set("end_of_word_suffix"));
  reject("unk_token", text_is_set("unk_token"));
}

void read_vocab(const JsonPlace& vocab, BpeTokenizerParts& parts) {
  std::vector<bool> taken;
  for (const auto& [token, id_json] : vocab.object()) {
    const int64_t id = read_id({&id_json, fmt::format("{}[\"{}\"]", vocab.where, token)});
    if (id >= static_cast<int64_t>(taken.size()))
      taken.resize(std::max<size_t>(2 * taken.size(), id + 1));
    if (taken[id]) throw InputError("{}: id {} is given to two tokens", vocab.where, id);
    taken[id] = true;
    parts.id_of_token.emplace(token, id);
  }
}

/// Bytes that no UTF-8 text contains need no token.
bool occurs_in_utf8(int byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

void read_byte_tokens(const JsonPlace& vocab, BpeTokenizerParts& parts) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto token = parts.id_of_token.find(byte_level_char(static_cast<uint8_t>(byte)));
    const bool is_present = token != parts.id_of_token.end();
    if (!is_present && occurs_in_utf8(byte))
      throw InputError("{}: not byte-level: byte 0x{:02x} has no token \"{}\"", vocab.where, byte,
                       byte_level_char(static_cast<uint8_t>(byte)));
    parts.bpe.byte_ids[byte] = is_present ? static_cast<int32_t>(token->second) : -1;
  }
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
    const auto found = parts.id_of_token.find(token);
    if (found == parts.id_of_token.end())
      throw InputError("{}[{}]: token \"{}\" is not in the vocabulary", merges.where, i, token);
    return static_cast<int32_t>(found->second);
  };
  parts.bpe.merges.reserve(merges.array().size());
  for (size_t i = 0; i < merges.array().size(); ++i) {
    const auto [left, right] = read_pair(merges.element(i));
    parts.bpe.merges.push_back({id_of(left, i), id_of(right, i), id_of(left + right, i)});
  }
}

void add_token(const JsonPlace& config, int64_t id, BpeTokenizerParts& parts) {
  for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
    if (config.member(key).boolean_or(false))
      throw InputError("{}.{}: true is not supported", config.where, key);
  }
  AddedToken token{config.member("content").string(), id,
                   config.member("special").boolean_or(false)};
  if (token.content.empty()) throw InputError("{}.content: is empty", config.where);
  const auto [place, is_new] = parts.id_of_token.emplace(token.content, id);
  if (place->second != id)
    throw InputError("{}: token \"{}\" has id {}, but also id {}", config.where, token.content, id,
                     place->second);
  if (is_new) {
    for (const auto& [other, other_id] : parts.id_of_token) {
      if (other_id == id && other != token.content)
        throw InputError("{}: id {} belongs to \"{}\" and to \"{}\"", config.where, id, other,
                         token.content);
    }
  }
  for (const AddedToken& other : parts.added_tokens) {
    if (other.id == id) throw InputError("{}: \"{}\" is added twice", config.where, token.content);
  }
  parts.added_tokens.push_back(std::move(token));
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
  parts.normalize_nfc = read_normalizer(root.member("normalizer"));
  parts.pretokenizer = Pretokenizer::from_json(root.member("pre_tokenizer"));
  check_decoder(root.member("decoder"));
  read_vocab(model.member("vocab"), parts);
  read_byte_tokens(model.member("vocab"), parts);
  read_merges(model.member("merges"), parts);
  if (model.member("ignore_merges").boolean_or(false)) {
    for (const auto& [token, id] : parts.id_of_token)
      parts.bpe.whole_words.emplace(byte_level_decode(token), static_cast<int32_t>(id));
  }
  if (const JsonPlace added = root.member("added_tokens"); !added.is_absent()) {
    for (size_t i = 0; i < added.array().size(); ++i) {
      const JsonPlace token = added.element(i);
      token.object();
      add_token(token, read_id(token.member("id")), parts);
    }
  }
  return parts;
}

void add_tokens_of_config(const std::filesystem::path& file, BpeTokenizerParts& parts) {
  const json content = read_json(file);
  const JsonPlace decoder =
      JsonPlace{&content, file.string() + ": "}.member("added_tokens_decoder");
  if (decoder.is_absent()) return;
  for (const auto& [key, token_json] : decoder.object()) {
    const JsonPlace token{&token_json, fmt::format("{}[\"{}\"]", decoder.where, key)};
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= kMaxIds)
      throw InputError("{}: expected an id as the key", token.where);
    const std::string& text = token.member("content").string();
    const bool is_known = std::any_of(
        parts.added_tokens.begin(), parts.added_tokens.end(),
        [&](const AddedToken& other) { return other.content == text && other.id == id; });
    if (!is_known) add_token(token, id, parts);
  }
}

}  // namespace caprl
