#include "caprl/core/error.h"
#include "caprl/text/chat.h"
#include "text/chat_template.h"

namespace caprl {
namespace {

class ChatMlFormat : public ChatFormat {
 public:
  ChatMlFormat(ChatMlRules rules, std::string where, std::shared_ptr<const Tokenizer> tokenizer)
      : rules_(std::move(rules)), where_(std::move(where)), tokenizer_(std::move(tokenizer)) {
    special_id("<|im_start|>");
    stop_ids_.push_back(special_id("<|im_end|>"));
    if (const auto end = tokenizer_->token_id("<|endoftext|>")) stop_ids_.push_back(*end);
    if (!rules_.takes_images) return;
    for (const char* token : {"<|vision_start|>", "<|image_pad|>", "<|vision_end|>"})
      special_id(token);
  }

  std::vector<int64_t> render(std::span<const ChatMessage> messages, bool generation_prompt,
                              std::string_view assistant_prefix) const override {
    if (!generation_prompt && !assistant_prefix.empty())
      throw Error("an assistant prefix needs an open assistant turn");
    if (!rules_.takes_images) {
      for (const ChatMessage& message : messages) reject_images(message);
    }
    std::vector<int64_t> ids;
    for (const ChatPiece& piece : rules_.render(messages, generation_prompt, assistant_prefix)) {
      if (piece.is_special) {
        ids.push_back(special_id(piece.text));
      } else {
        const std::vector<int64_t> text_ids = tokenizer_->encode(piece.text, false);
        ids.insert(ids.end(), text_ids.begin(), text_ids.end());
      }
    }
    return ids;
  }

  const std::vector<int64_t>& stop_ids() const override { return stop_ids_; }

 private:
  int64_t special_id(const std::string& token) const {
    if (tokenizer_->find_added_token(token) != token)
      throw InputError("{}: the template needs \"{}\", which the tokenizer lacks as an added token",
                       where_, token);
    return *tokenizer_->token_id(token);
  }

  void reject_images(const ChatMessage& message) const {
    for (const ChatPart& part : message.content) {
      if (part.kind == ChatPart::Kind::kImage)
        throw InputError(
            "{}: the template does not render images as "
            "<|vision_start|><|image_pad|><|vision_end|>, but a {} message has one",
            where_, message.role);
    }
  }

  ChatMlRules rules_;
  std::string where_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int64_t> stop_ids_;
};

}  // namespace

std::shared_ptr<const ChatFormat> ChatFormat::load(const std::filesystem::path& model_dir,
                                                   std::shared_ptr<const Tokenizer> tokenizer) {
  const ChatTemplate chat_template = read_chat_template(model_dir);
  return std::make_shared<ChatMlFormat>(recognize_chatml(chat_template), chat_template.where,
                                        std::move(tokenizer));
}

}  // namespace caprl
