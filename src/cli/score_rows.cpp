#include "cli/score_rows.h"

#include <algorithm>
#include <array>

#include "caprl/core/error.h"
#include "caprl/data/rows.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 8> kKeys = {"id",    "messages", "prompt",   "prompt_ids",
                                                   "image", "images",   "response", "response_ids"};

bool has(const json& line, const char* key) { return line.contains(key) && !line[key].is_null(); }

/// The one of two keys that the line has.
const char* one_of(const json& line, std::initializer_list<const char*> keys,
                   const std::string& where) {
  const char* found = nullptr;
  for (const char* key : keys) {
    if (!has(line, key)) continue;
    if (found) throw InputError("{}: expected one of '{}' and '{}', got both", where, found, key);
    found = key;
  }
  return found;
}

std::string string_of(const json& value, const char* key, const std::string& where) {
  if (!value.is_string())
    throw InputError("{}: {}: expected a string, got {}", where, key, value.type_name());
  return value.get<std::string>();
}

std::vector<int64_t> ids_of(const json& value, const char* key, const std::string& where) {
  if (!value.is_array() || !std::all_of(value.begin(), value.end(),
                                        [](const json& item) { return item.is_number_integer(); }))
    throw InputError("{}: {}: expected a list of token ids", where, key);
  return value.get<std::vector<int64_t>>();
}

std::vector<std::string> paths_of(const json& line, const std::string& where) {
  const char* key = one_of(line, {"image", "images"}, where);
  if (!key) return {};
  if (std::string_view(key) == "image") return {string_of(line[key], key, where)};
  if (!line[key].is_array()) throw InputError("{}: images: expected a list of paths", where);
  std::vector<std::string> paths;
  for (const json& path : line[key]) paths.push_back(string_of(path, key, where));
  return paths;
}

void refuse_added_tokens(std::string_view text, const char* key, const Tokenizer& tokenizer,
                         const std::string& where) {
  if (const auto token = tokenizer.find_added_token(text))
    throw InputError("{}: {} contains the reserved token '{}'; expected plain text, or ids", where,
                     key, *token);
}

}  // namespace

const Tokenizer& ScoreRowReader::tokenizer() {
  if (!tokenizer_) tokenizer_ = Tokenizer::load(model_dir_);
  return *tokenizer_;
}

const ChatFormat& ScoreRowReader::chat() {
  tokenizer();
  if (!chat_) chat_ = ChatFormat::load(model_dir_, tokenizer_, chat_template_);
  return *chat_;
}

const PatchConfig& ScoreRowReader::patches() {
  if (!patches_) patches_ = PatchConfig::load(model_dir_);
  return *patches_;
}

json ScoreRowReader::text(std::span<const int64_t> ids) {
  if (!tokenizer_ && !Tokenizer::exists(model_dir_)) return nullptr;
  return tokenizer().decode(ids, true);
}

json ScoreRowReader::token_texts(std::span<const int64_t> ids) {
  if (!tokenizer_ && !Tokenizer::exists(model_dir_)) return nullptr;
  std::vector<std::string> texts(ids.size());
  const auto stream = tokenizer().stream(false);
  for (size_t i = 0; i < ids.size(); ++i) stream->push(ids[i], texts[i]);
  if (!texts.empty()) stream->finish(texts.back());
  return texts;
}

std::vector<std::shared_ptr<const ImagePatches>> ScoreRowReader::load_images(
    const std::vector<std::string>& paths, const std::string& where,
    const std::filesystem::path& folder) {
  if (!paths.empty() && !traits_.image_token_id)
    throw InputError("{}: the line has an image, but the model is text-only", where);
  std::vector<std::shared_ptr<const ImagePatches>> images;
  for (const std::string& path : paths) {
    ImageSource source;
    source.path = folder / path;
    source.name = fmt::format("{}: image {}", where, source.path.string());
    if (!std::filesystem::is_regular_file(source.path))
      throw InputError("{}: no such file", source.name);
    images.push_back(
        std::make_shared<const ImagePatches>(make_patches(load_image(source), patches())));
  }
  return images;
}

void ScoreRowReader::check_ids(const std::vector<int64_t>& ids, const char* key,
                               const std::string& where) const {
  for (const int64_t id : ids)
    if (id < 0 || id >= traits_.vocab_size)
      throw InputError("{}: {}: {} is outside the model's vocabulary of {}", where, key, id,
                       traits_.vocab_size);
}

void ScoreRowReader::check_images(const Prompt& prompt, const std::string& where) const {
  int64_t wanted = 0;
  for (const auto& image : prompt.images) wanted += image->tokens(traits_.merge_size);
  const auto got = traits_.image_token_id
                       ? std::count(prompt.ids.begin(), prompt.ids.end(), *traits_.image_token_id)
                       : 0;
  if (got != wanted)
    throw InputError("{}: the {} images need {} image tokens, got {}", where, prompt.images.size(),
                     wanted, got);
}

/// Image parts name their file, or take the line's images in order.
std::vector<int64_t> ScoreRowReader::conversation(const json& messages, const std::string& where,
                                                  std::vector<std::string>& images) {
  std::vector<std::string> used;
  size_t next = 0;
  const std::vector<ChatMessage> parsed = parse_messages(messages, where);
  for (const ChatMessage& message : parsed) {
    for (const ChatPart& part : message.content) {
      if (part.kind == ChatPart::Kind::kText) {
        refuse_added_tokens(part.text, "messages", tokenizer(), where);
      } else if (!part.text.empty()) {
        used.push_back(part.text);
      } else if (next < images.size()) {
        used.push_back(images[next++]);
      } else {
        throw InputError("{}: messages ask for more images than the {} of 'image' or 'images'",
                         where, images.size());
      }
    }
  }
  if (next < images.size())
    throw InputError("{}: messages use {} of the {} images", where, next, images.size());
  images = std::move(used);
  return chat().render(parsed, true);
}

/// As Hugging Face tokenizes a text that stands alone.
std::vector<int64_t> ScoreRowReader::raw_prompt(const std::string& text) {
  std::vector<int64_t> ids = tokenizer().prefix_ids();
  const std::vector<int64_t> text_ids = tokenizer().encode(text, true);
  ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  return ids;
}

Prompt ScoreRowReader::read_prompt(const json& line, const std::string& where,
                                   const std::filesystem::path& folder) {
  const char* key = one_of(line, {"messages", "prompt", "prompt_ids"}, where);
  if (!key) throw InputError("{}: expected 'messages', 'prompt' or 'prompt_ids'", where);
  std::vector<std::string> paths = paths_of(line, where);
  Prompt prompt;
  if (std::string_view(key) == "prompt_ids") {
    prompt = {ids_of(line[key], key, where), load_images(paths, where, folder)};
  } else {
    std::vector<int64_t> ids = std::string_view(key) == "messages"
                                   ? conversation(line[key], where, paths)
                                   : raw_prompt(string_of(line[key], key, where));
    auto images = load_images(paths, where, folder);
    try {
      prompt = expand_images(std::move(ids), std::move(images), traits_);
    } catch (const InputError& error) {
      throw InputError("{}: {}", where, error.what());
    }
  }
  check_ids(prompt.ids, key, where);
  check_images(prompt, where);
  if (prompt.ids.empty()) throw InputError("{}: {}: expected at least one token", where, key);
  return prompt;
}

std::vector<int64_t> ScoreRowReader::read_response(const json& line, const std::string& where) {
  const char* key = one_of(line, {"response", "response_ids"}, where);
  if (!key) throw InputError("{}: expected 'response' or 'response_ids'", where);
  std::vector<int64_t> ids;
  if (std::string_view(key) == "response_ids") {
    ids = ids_of(line[key], key, where);
  } else {
    const std::string text = string_of(line[key], key, where);
    refuse_added_tokens(text, key, tokenizer(), where);
    ids = tokenizer().encode(text, false);
  }
  check_ids(ids, key, where);
  if (traits_.image_token_id &&
      std::find(ids.begin(), ids.end(), *traits_.image_token_id) != ids.end())
    throw InputError("{}: {}: an image token cannot be scored", where, key);
  return ids;
}

ScoreRow ScoreRowReader::read(const json& line, const std::string& where, int64_t number,
                              const std::filesystem::path& folder, bool with_response) {
  if (!line.is_object())
    throw InputError("{}: expected an object, got {}", where, line.type_name());
  for (const auto& [key, value] : line.items())
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      throw InputError("{}: unknown key '{}'; known ones: {}", where, key, fmt::join(kKeys, ", "));
  ScoreRow row;
  row.id = line.value("id", json(number));
  row.where = where;
  row.prompt = read_prompt(line, where, folder);
  if (with_response) {
    row.response = read_response(line, where);
  } else if (has(line, "response") || has(line, "response_ids")) {
    throw InputError("{}: the line has a response, but --greedy asks to generate one", where);
  }
  return row;
}

}  // namespace caprl
