// Conversations to token ids, in the format that a model directory's chat template stands for.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/text/tokenizer.h"

namespace caprl {

struct ChatPart {
  enum class Kind { kText, kImage };
  Kind kind = Kind::kText;
  std::string text;  // of an image: its path, or empty
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::vector<ChatPart> content;
};

/// Immutable; thread safe.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;

  /// Chooses the format by the content of the directory's chat template (chat_template.jinja,
  /// chat_template.json, or the key in tokenizer_config.json). InputError for a template that is
  /// not known.
  static std::shared_ptr<const ChatFormat> load(const std::filesystem::path& model_dir,
                                                std::shared_ptr<const Tokenizer> tokenizer);

  /// Ids of the conversation. Each image part becomes vision_start, ONE image_pad, vision_end; the
  /// caller expands the pad. With `generation_prompt` the assistant's turn is opened, followed by
  /// `assistant_prefix` as plain text.
  virtual std::vector<int64_t> render(std::span<const ChatMessage> messages, bool generation_prompt,
                                      std::string_view assistant_prefix = {}) const = 0;
  /// What ends an assistant's turn, the first one being the one to train on ("<|im_end|>").
  virtual const std::vector<int64_t>& stop_ids() const = 0;
};

}  // namespace caprl
