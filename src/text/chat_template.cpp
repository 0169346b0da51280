#include "text/chat_template.h"

#include <algorithm>

#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "text/jinja.h"
#include "text/json_fields.h"

namespace caprl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kSystemStart = "<|im_start|>system\n";
constexpr std::string_view kMessageEnd = "<|im_end|>\n";

/// Content whose white space shows whether the template changes it.
const char* const kUserText = " a user's\n words ";

ChatMessage text_message(std::string role, std::string text) {
  return {std::move(role), {{ChatPart::Kind::kText, std::move(text)}}};
}

ChatMessage image_message() {
  return {"user",
          {{ChatPart::Kind::kText, "look: "},
           {ChatPart::Kind::kImage, ""},
           {ChatPart::Kind::kImage, ""},
           {ChatPart::Kind::kText, kUserText}}};
}

/// As Hugging Face hands messages to templates: a single text as a string, else a list of parts.
json to_json(const ChatMessage& message) {
  if (message.content.size() == 1 && message.content[0].kind == ChatPart::Kind::kText)
    return {{"role", message.role}, {"content", message.content[0].text}};
  json parts = json::array();
  for (const ChatPart& part : message.content) {
    if (part.kind == ChatPart::Kind::kImage)
      parts.push_back({{"type", "image"}, {"image", part.text}});
    else
      parts.push_back({{"type", "text"}, {"text", part.text}});
  }
  return {{"role", message.role}, {"content", parts}};
}

std::string render_template(const ChatTemplate& chat_template,
                            std::span<const ChatMessage> messages, bool generation_prompt) {
  json variables = {{"messages", json::array()}, {"add_generation_prompt", generation_prompt}};
  for (const ChatMessage& message : messages) variables["messages"].push_back(to_json(message));
  return render_jinja(chat_template.source, variables, chat_template.where);
}

std::string render_rules(const ChatMlRules& rules, std::span<const ChatMessage> messages,
                         bool generation_prompt) {
  std::string text;
  for (const ChatPiece& piece : rules.render(messages, generation_prompt, {})) text += piece.text;
  return text;
}

std::optional<std::string> find_default_system(std::string_view rendered) {
  if (!rendered.starts_with(kSystemStart)) return std::nullopt;
  rendered.remove_prefix(kSystemStart.size());
  return std::string(rendered.substr(0, rendered.find(kMessageEnd)));
}

/// Whether the template renders images as ChatML does; one that cannot read lists of parts takes
/// text only.
bool takes_images(const ChatTemplate& chat_template, ChatMlRules rules) {
  const ChatMessage messages[] = {image_message()};
  rules.takes_images = true;
  try {
    return render_template(chat_template, messages, true) == render_rules(rules, messages, true);
  } catch (const InputError&) {
    return false;
  }
}

class PieceList {
 public:
  void special(std::string_view token) { pieces_.push_back({true, std::string(token)}); }
  void text(std::string_view text) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().is_special) pieces_.push_back({});
    pieces_.back().text += text;
  }
  std::vector<ChatPiece> take() { return std::move(pieces_); }

 private:
  std::vector<ChatPiece> pieces_;
};

std::string config_template(const JsonPlace& place) {
  if (!place.value->is_array()) return place.string();
  for (size_t i = 0; i < place.array().size(); ++i) {
    if (place.element(i).member("name").string() == "default")
      return place.element(i).member("template").string();
  }
  throw InputError("{}: none of the templates is named \"default\"", place.where);
}

}  // namespace

std::vector<ChatPiece> ChatMlRules::render(std::span<const ChatMessage> messages,
                                           bool generation_prompt,
                                           std::string_view assistant_prefix) const {
  PieceList pieces;
  const auto open = [&](std::string_view role) {
    pieces.special("<|im_start|>");
    pieces.text(role);
    pieces.text("\n");
  };
  const auto close = [&] {
    pieces.special("<|im_end|>");
    pieces.text("\n");
  };
  if (default_system && (messages.empty() || messages.front().role != "system")) {
    open("system");
    pieces.text(*default_system);
    close();
  }
  for (const ChatMessage& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant")
      throw InputError("message role: expected system, user or assistant, got \"{}\"",
                       message.role);
    open(message.role);
    for (const ChatPart& part : message.content) {
      if (part.kind == ChatPart::Kind::kText) {
        pieces.text(part.text);
        continue;
      }
      for (const char* token : {"<|vision_start|>", "<|image_pad|>", "<|vision_end|>"})
        pieces.special(token);
    }
    close();
  }
  if (generation_prompt) open("assistant");
  pieces.text(assistant_prefix);
  return pieces.take();
}

ChatTemplate read_chat_template(const fs::path& model_dir) {
  const fs::path jinja = model_dir / "chat_template.jinja";
  if (fs::exists(jinja)) return {read_file(jinja), jinja.string()};
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const fs::path file = model_dir / name;
    if (!fs::exists(file)) continue;
    const json content = read_json(file);
    const JsonPlace place = JsonPlace{&content, file.string() + ": "}.member("chat_template");
    if (!place.is_absent()) return {config_template(place), place.where};
  }
  throw InputError(
      "{}: no chat template: expected chat_template.jinja, chat_template.json or chat_template in "
      "tokenizer_config.json",
      model_dir.string());
}

ChatMlRules recognize_chatml(const ChatTemplate& chat_template) {
  const std::vector<std::vector<ChatMessage>> conversations = {
      {text_message("user", kUserText)},
      {text_message("system", " be brief "), text_message("user", kUserText)},
      {text_message("user", kUserText), text_message("assistant", " an\nanswer "),
       text_message("system", " news "), text_message("user", kUserText)}};
  ChatMlRules rules;
  rules.default_system =
      find_default_system(render_template(chat_template, conversations[0], true));
  for (const auto& conversation : conversations) {
    for (const bool generation_prompt : {false, true}) {
      const std::string got = render_template(chat_template, conversation, generation_prompt);
      const std::string expected = render_rules(rules, conversation, generation_prompt);
      if (got == expected) continue;
      throw InputError("{}: this chat template is not known: ChatML gives {} where it gives {}",
                       chat_template.where, json(expected).dump(), json(got).dump());
    }
  }
  rules.takes_images = takes_images(chat_template, rules);
  return rules;
}

}  // namespace caprl
