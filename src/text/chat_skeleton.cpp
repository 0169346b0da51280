#include "text/chat_skeleton.h"

#include <algorithm>
#include <array>
#include <optional>

#include "caprl/core/error.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

using nlohmann::json;

/// White space that shows what a template strips: strip(), strip('\n') or nothing.
constexpr std::string_view kPadding = "\n \n";
constexpr std::string_view kInternVlImage = "<img><IMG_CONTEXT></img>\n";

/// Private use characters, which no template has.
std::string place_holder(size_t slot) { return fmt::format("\uE000{}\uE001", slot); }

size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

class SkeletonMaker {
 public:
  SkeletonMaker(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                std::span<const ChatMessage> messages, bool generation_prompt)
      : template_(chat_template),
        tokenizer_(tokenizer),
        messages_(messages),
        generation_prompt_(generation_prompt) {}

  std::vector<ChatPiece> run() {
    const std::string rendered = render_lists_or_strings();
    cut(rendered);
    measure_trims();
    wrap_images();
    return std::move(pieces_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw InputError("{}: {}", template_.where, reason);
  }

  /// Hugging Face's form: a single text as a string, else a list of parts; or all parts in one
  /// string, for templates that take strings only.
  json conversation(std::string_view padding) {
    json list = json::array();
    num_slots_ = 0;
    for (const ChatMessage& message : messages_) {
      if (message.role != "system" && message.role != "user" && message.role != "assistant")
        throw InputError("message role: expected system, user or assistant, got \"{}\"",
                         message.role);
      list.push_back({{"role", message.role}, {"content", content(message, padding)}});
    }
    return list;
  }

  json content(const ChatMessage& message, std::string_view padding) {
    std::string joined;
    json parts = json::array();
    for (const ChatPart& part : message.content) {
      const bool is_image = part.kind == ChatPart::Kind::kImage;
      std::string text;
      if (is_image)
        text = kInternVlImage;
      else if (!part.text.empty())
        text = std::string(padding) + place_holder(num_slots_++) + std::string(padding);
      joined += text;
      parts.push_back(is_image ? json{{"type", "image"}, {"image", ""}}
                               : json{{"type", "text"}, {"text", text}});
    }
    const bool is_single_text = parts.size() == 1 && parts[0]["type"] == "text";
    if (is_joined_ || parts.empty() || is_single_text) return joined;
    return parts;
  }

  std::string render(std::string_view padding) {
    const json messages = conversation(padding);
    return template_.render(messages, generation_prompt_);
  }

  size_t num_images() const {
    size_t n = 0;
    for (const ChatMessage& message : messages_)
      n += static_cast<size_t>(
          std::count_if(message.content.begin(), message.content.end(),
                        [](const ChatPart& part) { return part.kind == ChatPart::Kind::kImage; }));
    return n;
  }
  bool shows_all(const std::string& rendered) const {
    for (size_t slot = 0; slot < num_slots_; ++slot)
      if (count(rendered, place_holder(slot)) != 1) return false;
    return count(rendered, "<|image_pad|>") + count(rendered, "<IMG_CONTEXT>") == num_images();
  }

  std::string render_lists_or_strings() {
    std::optional<InputError> refusal;
    try {
      std::string rendered = render({});
      if (shows_all(rendered)) return rendered;
    } catch (const InputError& error) {
      refusal = error;
    }
    const bool has_lists = std::any_of(messages_.begin(), messages_.end(),
                                       [](const auto& m) { return m.content.size() != 1; });
    is_joined_ = has_lists || num_images() > 0;
    if (num_images() > 0 && !tokenizer_.find_added_token("<IMG_CONTEXT>"))
      fail("the template does not render images, but a message has one");
    if (is_joined_) {
      std::string rendered = render({});
      if (shows_all(rendered)) return rendered;
    }
    if (refusal) throw *refusal;
    fail("this chat template is not known: it does not show every message's text once");
  }

  /// Pieces of the template's text and slots.
  void cut(std::string_view rendered) {
    while (!rendered.empty()) {
      size_t slot = num_slots_;
      size_t at = rendered.size();
      for (size_t i = 0; i < num_slots_; ++i) {
        if (const size_t found = rendered.find(place_holder(i)); found < at) {
          at = found;
          slot = i;
        }
      }
      add_literal(rendered.substr(0, at));
      if (slot == num_slots_) return;
      pieces_.push_back({.kind = ChatPiece::Kind::kSlot, .text = {}, .slot = slot});
      rendered.remove_prefix(at + place_holder(slot).size());
    }
  }

  void add_literal(std::string_view text) {
    while (const auto token = tokenizer_.find_added_token(text)) {
      const size_t at = text.find(*token);
      add_text(text.substr(0, at));
      pieces_.push_back({.kind = ChatPiece::Kind::kAdded, .text = *token});
      text.remove_prefix(at + token->size());
    }
    add_text(text);
  }

  void add_text(std::string_view text) {
    if (!text.empty())
      pieces_.push_back({.kind = ChatPiece::Kind::kText, .text = std::string(text)});
  }

  /// transformers' InternVL processor puts the image's tokens between these two.
  void wrap_images() {
    if (!tokenizer_.token_id("<img>")) return;
    std::vector<ChatPiece> wrapped;
    for (ChatPiece& piece : pieces_) {
      const bool is_bare =
          piece.text == "<IMG_CONTEXT>" && (wrapped.empty() || wrapped.back().text != "<img>");
      if (is_bare) wrapped.push_back({.kind = ChatPiece::Kind::kAdded, .text = "<img>"});
      wrapped.push_back(std::move(piece));
      if (is_bare) wrapped.push_back({.kind = ChatPiece::Kind::kAdded, .text = "</img>"});
    }
    pieces_ = std::move(wrapped);
  }

  /// Renders again with white space around each text and looks at what is left of it.
  void measure_trims() {
    const std::string padded = render(kPadding);
    std::string_view rest = padded;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      ChatPiece& piece = pieces_[i];
      if (piece.kind != ChatPiece::Kind::kSlot) {
        skip(rest, piece.text);
        continue;
      }
      const std::string holder = place_holder(piece.slot);
      const size_t at = rest.find(holder);
      if (at == std::string_view::npos) fail_changed();
      piece.left = trim_that_leaves(rest.substr(0, at), {kPadding, " \n"});
      rest.remove_prefix(at + holder.size());
      const std::string_view space = rest.substr(0, space_before(rest, i + 1));
      piece.right = trim_that_leaves(space, {kPadding, "\n "});
      rest.remove_prefix(space.size());
    }
    if (!rest.empty()) fail_changed();
  }

  [[noreturn]] void fail_changed() const {
    fail("this chat template is not known: it changes texts, not only white space at their ends");
  }
  void skip(std::string_view& rest, std::string_view literal) const {
    if (!rest.starts_with(literal)) fail_changed();
    rest.remove_prefix(literal.size());
  }
  Trim trim_that_leaves(std::string_view space, std::array<std::string_view, 2> expected) const {
    if (space == expected[0]) return Trim::kNothing;
    if (space == expected[1]) return Trim::kNewlines;
    if (!space.empty()) fail_changed();
    return Trim::kSpace;
  }

  /// Bytes of a text's right padding that are left at the beginning of `rest`, where the pieces
  /// from `next` on follow.
  size_t space_before(std::string_view rest, size_t next) const {
    std::string literal;
    while (next < pieces_.size() && pieces_[next].kind != ChatPiece::Kind::kSlot)
      literal += pieces_[next++].text;
    for (const std::string_view space : {kPadding, kPadding.substr(0, 2)})
      if (rest.starts_with(space) && rest.substr(space.size()).starts_with(literal))
        return space.size();
    return 0;
  }

  const ChatTemplate& template_;
  const Tokenizer& tokenizer_;
  std::span<const ChatMessage> messages_;
  bool generation_prompt_;
  bool is_joined_ = false;
  size_t num_slots_ = 0;
  std::vector<ChatPiece> pieces_;
};

}  // namespace

std::string_view ChatPiece::trim(std::string_view text) const {
  if (left == Trim::kSpace) text = strip_space(text, true, false);
  if (right == Trim::kSpace) text = strip_space(text, false, true);
  while (left == Trim::kNewlines && text.starts_with('\n')) text.remove_prefix(1);
  while (right == Trim::kNewlines && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

std::vector<ChatPiece> make_chat_skeleton(const ChatTemplate& chat_template,
                                          const Tokenizer& tokenizer,
                                          std::span<const ChatMessage> messages,
                                          bool generation_prompt) {
  return SkeletonMaker(chat_template, tokenizer, messages, generation_prompt).run();
}

std::string chat_shape(std::span<const ChatMessage> messages, bool generation_prompt) {
  std::string shape = generation_prompt ? "+" : "-";
  for (const ChatMessage& message : messages) {
    shape += message.role + ":";
    for (const ChatPart& part : message.content)
      shape += part.kind == ChatPart::Kind::kImage ? 'i' : part.text.empty() ? 'e' : 't';
    shape += ";";
  }
  return shape;
}

}  // namespace caprl
