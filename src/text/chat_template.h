// What a model directory's chat template does, found by trying it out.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/text/chat.h"

namespace caprl {

/// A piece of a rendered conversation: a special token, or text that is encoded as a whole.
struct ChatPiece {
  bool is_special = false;
  std::string text;
};

/// ChatML as Qwen2.5 and Qwen2.5-VL speak it.
struct ChatMlRules {
  std::optional<std::string> default_system;  // used when the first message is not the system's
  bool takes_images = false;

  /// Neighbouring text is one piece. InputError for an unknown role.
  std::vector<ChatPiece> render(std::span<const ChatMessage> messages, bool generation_prompt,
                                std::string_view assistant_prefix) const;
};

/// A template's text and the file it came from, for messages.
struct ChatTemplate {
  std::string source;
  std::string where;
};

/// From chat_template.jinja, else chat_template.json, else tokenizer_config.json. InputError if
/// there is none.
ChatTemplate read_chat_template(const std::filesystem::path& model_dir);

/// Renders conversations with the template and compares them with ChatML's. InputError if they
/// differ, or if the template uses something unknown: such a model would be trained on prompts it
/// was not made for.
ChatMlRules recognize_chatml(const ChatTemplate& chat_template);

}  // namespace caprl
