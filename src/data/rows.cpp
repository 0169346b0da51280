#include "caprl/data/rows.h"

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/base64.h"

namespace caprl {
namespace {

using nlohmann::json;
constexpr std::string_view kImageMarker = "<image>";

const json& member(const json& object, const char* key, std::string_view where) {
  if (!object.is_object())
    throw InputError("{}: expected an object, got {}", where, object.type_name());
  const auto found = object.find(key);
  if (found == object.end()) throw InputError("{}: key '{}' is missing", where, key);
  return *found;
}

std::string string_of(const json& value, std::string_view what, std::string_view where) {
  if (!value.is_string())
    throw InputError("{}: {}: expected a string, got {}", where, what, value.type_name());
  return value.get<std::string>();
}

/// Ids are strings or numbers in published files; a row without one is named by its place.
std::string row_id(const json& row, const std::string& where) {
  if (!row.is_object()) throw InputError("{}: expected an object, got {}", where, row.type_name());
  const auto id = row.find("id");
  if (id == row.end() || id->is_null()) return where;
  if (id->is_number_integer()) return std::to_string(id->get<int64_t>());
  return string_of(*id, "id", where);
}

void refuse_added_tokens(std::string_view text, std::string_view what, std::string_view where,
                         const Tokenizer& tokenizer) {
  if (const auto token = tokenizer.find_added_token(text))
    throw InputError("{}: {} contains the reserved token '{}'; expected plain text", where, what,
                     *token);
}

void append_marked_text(const std::string& text, std::vector<ChatPart>& parts) {
  size_t begin = 0;
  for (size_t at; (at = text.find(kImageMarker, begin)) != std::string::npos;
       begin = at + kImageMarker.size()) {
    if (at > begin) parts.push_back({ChatPart::Kind::kText, text.substr(begin, at - begin)});
    parts.push_back({ChatPart::Kind::kImage, {}});
  }
  if (begin < text.size()) parts.push_back({ChatPart::Kind::kText, text.substr(begin)});
}

std::vector<ChatPart> parse_content(const json& content, std::string_view where) {
  std::vector<ChatPart> parts;
  if (content.is_string()) {
    append_marked_text(content.get<std::string>(), parts);
    return parts;
  }
  if (!content.is_array())
    throw InputError("{}: content: expected a string or a list, got {}", where,
                     content.type_name());
  for (const json& part : content) {
    const std::string type = string_of(member(part, "type", where), "content type", where);
    if (type == "text") {
      parts.push_back(
          {ChatPart::Kind::kText, string_of(member(part, "text", where), "text", where)});
    } else if (type == "image") {
      // Without a path: the row's image.
      const auto path = part.find("image");
      const bool has_path = path != part.end() && !path->is_null();
      parts.push_back(
          {ChatPart::Kind::kImage, has_path ? string_of(*path, "image", where) : std::string()});
    } else {
      throw InputError("{}: content type: expected 'text' or 'image', got '{}'", where, type);
    }
  }
  return parts;
}

int64_t count_images(const std::vector<ChatMessage>& messages) {
  int64_t count = 0;
  for (const ChatMessage& message : messages)
    for (const ChatPart& part : message.content) count += part.kind == ChatPart::Kind::kImage;
  return count;
}

ImageSource image_at_path(const std::string& path, std::string_view where,
                          const std::filesystem::path& folder) {
  if (path.empty()) throw InputError("{}: image: the path is empty", where);
  ImageSource source;
  source.path = folder / path;
  source.name = fmt::format("{}: image {}", where, source.path.string());
  std::error_code error;
  if (!std::filesystem::is_regular_file(source.path, error))
    throw InputError("{}: no such file", source.name);
  return source;
}

/// Base64, or the bytes themselves where a Parquet file has them in a column of its own.
ImageSource embedded_image(const json& bytes, std::string_view where) {
  ImageSource source;
  source.name = fmt::format("{}: embedded image", where);
  if (bytes.is_binary()) {
    const auto content = std::as_bytes(std::span(bytes.get_binary()));
    source.bytes.assign(content.begin(), content.end());
  } else {
    source.bytes = decode_base64(string_of(bytes, "image bytes", where),
                                 fmt::format("{}: image bytes", where));
  }
  return source;
}

ImageSource parse_image(const json& image, std::string_view where,
                        const std::filesystem::path& folder) {
  if (image.is_string()) return image_at_path(image.get<std::string>(), where, folder);
  if (image.is_binary()) return embedded_image(image, where);
  if (!image.is_object())
    throw InputError("{}: image: expected an object with 'path' or 'bytes', got {}", where,
                     image.type_name());
  const auto bytes = image.find("bytes");
  if (bytes != image.end() && !bytes->is_null()) return embedded_image(*bytes, where);
  const json& path = member(image, "path", where);
  if (path.is_null()) throw InputError("{}: image: expected bytes or a path, got neither", where);
  return image_at_path(string_of(path, "image path", where), where, folder);
}

void refuse_added_tokens(const std::vector<ChatMessage>& messages, std::string_view where,
                         const Tokenizer& tokenizer) {
  for (const ChatMessage& message : messages)
    for (const ChatPart& part : message.content)
      if (part.kind == ChatPart::Kind::kText)
        refuse_added_tokens(part.text, "the prompt", where, tokenizer);
}

std::vector<Question> parse_questions(const json& row, std::string_view where) {
  const json& items = member(member(row, "reward_model", where), "ground_truth", where);
  if (!items.is_array() || items.empty())
    throw InputError("{}: reward_model.ground_truth: expected a list of questions, got {}", where,
                     items.is_array() ? "an empty list" : items.type_name());
  std::vector<Question> questions;
  for (const json& item : items) questions.push_back(parse_question(item, where));
  return questions;
}

}  // namespace

std::vector<ChatMessage> parse_messages(const json& messages, std::string_view where) {
  if (!messages.is_array() || messages.empty())
    throw InputError("{}: messages: expected a list that is not empty, got {}", where,
                     messages.is_array() ? "an empty list" : messages.type_name());
  std::vector<ChatMessage> parsed;
  for (const json& message : messages)
    parsed.push_back({string_of(member(message, "role", where), "role", where),
                      parse_content(member(message, "content", where), where)});
  return parsed;
}

ImageSource image_of_row(const json& row, const std::string& where,
                         const std::filesystem::path& folder, const StoredImage& stored) {
  if (!stored.store) return parse_image(member(row, "image", where), where, folder);
  ImageSource source;
  source.stored = stored;
  source.name = fmt::format("{}: embedded image", where);
  return source;
}

ImageRow parse_image_row(const json& row, std::string where, const std::filesystem::path& folder,
                         const Tokenizer& tokenizer, const std::vector<ChatMessage>& prompt,
                         const StoredImage& image) {
  ImageRow parsed;
  parsed.id = row_id(row, where);
  const bool has_prompt = prompt.empty() || (row.contains("prompt") && !row["prompt"].is_null());
  parsed.prompt = has_prompt ? parse_messages(member(row, "prompt", where), where) : prompt;
  const int64_t num_images = count_images(parsed.prompt);
  if (num_images != 1)
    throw InputError("{}: prompt: expected one image ('<image>'), got {}", where, num_images);
  refuse_added_tokens(parsed.prompt, where, tokenizer);
  parsed.image = image_of_row(row, where, folder, image);
  parsed.where = std::move(where);
  return parsed;
}

CaptionRow parse_caption_row(const json& row, const std::string& where,
                             const std::filesystem::path& folder, const Tokenizer& tokenizer,
                             const StoredImage& image) {
  CaptionRow parsed{parse_image_row(row, where, folder, tokenizer, {}, image),
                    parse_questions(row, where)};
  for (const Question& question : parsed.questions) {
    refuse_added_tokens(question.text, "a question", where, tokenizer);
    for (const std::string& choice : question.choices)
      refuse_added_tokens(choice, "a choice", where, tokenizer);
  }
  return parsed;
}

SftRow parse_sft_row(const json& row, std::string where, const std::filesystem::path& folder,
                     const Tokenizer& tokenizer, const StoredImage& image) {
  SftRow parsed;
  parsed.id = row_id(row, where);
  parsed.messages = parse_messages(member(row, "messages", where), where);
  refuse_added_tokens(parsed.messages, where, tokenizer);
  int64_t places = 0;  // of the row's own image
  for (const ChatMessage& message : parsed.messages)
    for (const ChatPart& part : message.content) {
      if (part.kind != ChatPart::Kind::kImage) continue;
      const bool is_own = part.text.empty();
      places += is_own;
      parsed.images.push_back(is_own ? image_of_row(row, where, folder, image)
                                     : image_at_path(part.text, where, folder));
    }
  const bool has_own = image.store || (row.contains("image") && !row["image"].is_null());
  if (places > 1 || (has_own && parsed.images.empty()))
    throw InputError("{}: messages: expected '<image>' once, for the row's image, got it {}", where,
                     places == 0 ? "nowhere" : fmt::format("{} times", places));
  parsed.response = string_of(member(row, "response", where), "response", where);
  refuse_added_tokens(parsed.response, "the response", where, tokenizer);
  parsed.where = std::move(where);
  return parsed;
}

}  // namespace caprl
