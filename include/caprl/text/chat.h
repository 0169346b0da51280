// Conversations to token ids, as a model directory's chat template has them.
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

/// Speaks as the model directory's chat template does. Thread safe.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;

  /// The template is a file of its own if `chat_template` is not empty, else the directory's
  /// (chat_template.jinja, chat_template.json, or the key in tokenizer_config.json). Thinking is
  /// switched off where it asks for `enable_thinking`; dates that it would take from the clock are
  /// those that it has without one. InputError for a template that uses something unknown, or that
  /// changes the messages' texts: such a model would be trained on prompts it was not made for.
  static std::shared_ptr<const ChatFormat> load(const std::filesystem::path& model_dir,
                                                std::shared_ptr<const Tokenizer> tokenizer,
                                                const std::filesystem::path& chat_template = {});

  /// Ids of the conversation, those of transformers' apply_chat_template, but added tokens come
  /// from the template alone: in a message their text is ordinary text. Each image part becomes the
  /// template's marks around ONE image token, which the caller expands. With `generation_prompt`
  /// the assistant's turn is opened, followed by `assistant_prefix` as plain text. InputError for
  /// an unknown role and for what the template refuses.
  virtual std::vector<int64_t> render(std::span<const ChatMessage> messages, bool generation_prompt,
                                      std::string_view assistant_prefix = {}) const = 0;
  /// What ends an assistant's turn, the first one being the one to train on ("<|im_end|>").
  virtual const std::vector<int64_t>& stop_ids() const = 0;
};

}  // namespace caprl
