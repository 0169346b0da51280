#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "caprl/core/error.h"
#include "caprl/text/chat.h"
#include "text/chat_skeleton.h"

namespace caprl {
namespace {

using Skeleton = std::shared_ptr<const std::vector<ChatPiece>>;

ChatMessage text_message(const char* role) { return {role, {{ChatPart::Kind::kText, "text"}}}; }

class TemplateFormat : public ChatFormat {
 public:
  TemplateFormat(ChatTemplate chat_template, std::shared_ptr<const Tokenizer> tokenizer)
      : template_(std::move(chat_template)), tokenizer_(std::move(tokenizer)) {
    const ChatMessage question[] = {text_message("user")};
    skeleton(question, true);
    find_stop_ids();
  }

  std::vector<int64_t> render(std::span<const ChatMessage> messages, bool generation_prompt,
                              std::string_view assistant_prefix) const override {
    if (!generation_prompt && !assistant_prefix.empty())
      throw Error("an assistant prefix needs an open assistant turn");
    std::vector<std::string_view> texts;
    for (const ChatMessage& message : messages)
      for (const ChatPart& part : message.content)
        if (part.kind == ChatPart::Kind::kText && !part.text.empty()) texts.push_back(part.text);

    std::vector<int64_t> ids;
    std::string text;  // between two added tokens, encoded as a whole
    const auto flush = [&] {
      if (!text.empty()) tokenizer_->encode_plain(text, ids.empty(), ids);
      text.clear();
    };
    for (const ChatPiece& piece : *skeleton(messages, generation_prompt)) {
      if (piece.kind == ChatPiece::Kind::kAdded) {
        flush();
        ids.push_back(*tokenizer_->token_id(piece.text));
      } else {
        text += piece.kind == ChatPiece::Kind::kText ? piece.text : piece.trim(texts[piece.slot]);
      }
    }
    text += assistant_prefix;
    flush();
    return ids;
  }

  const std::vector<int64_t>& stop_ids() const override { return stop_ids_; }

 private:
  Skeleton skeleton(std::span<const ChatMessage> messages, bool generation_prompt) const {
    const std::string shape = chat_shape(messages, generation_prompt);
    const std::lock_guard lock(mutex_);
    Skeleton& known = skeletons_[shape];
    if (!known) {
      try {
        known = std::make_shared<const std::vector<ChatPiece>>(
            make_chat_skeleton(template_, *tokenizer_, messages, generation_prompt));
      } catch (...) {
        skeletons_.erase(shape);
        throw;
      }
    }
    return known;
  }

  /// The added token that the template puts behind an answer, then the model's other ends.
  void find_stop_ids() {
    const ChatMessage turns[] = {text_message("user"), text_message("assistant")};
    const auto pieces = skeleton(turns, false);
    const auto answer = std::find_if(pieces->begin(), pieces->end(), [](const ChatPiece& piece) {
      return piece.kind == ChatPiece::Kind::kSlot && piece.slot == 1;
    });
    const auto end = std::find_if(answer, pieces->end(), [](const ChatPiece& piece) {
      return piece.kind == ChatPiece::Kind::kAdded;
    });
    if (end != pieces->end()) add_stop(end->text);
    if (template_.variables.contains("eos_token")) add_stop(template_.variables["eos_token"]);
    for (const char* token : {"<|endoftext|>", "<|end_of_text|>"}) add_stop(token);
    if (stop_ids_.empty())
      throw InputError("{}: the template ends an answer with no added token of the tokenizer",
                       template_.where);
  }

  void add_stop(const std::string& token) {
    if (tokenizer_->find_added_token(token) != token) return;
    const int64_t id = *tokenizer_->token_id(token);
    if (std::find(stop_ids_.begin(), stop_ids_.end(), id) == stop_ids_.end())
      stop_ids_.push_back(id);
  }

  ChatTemplate template_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int64_t> stop_ids_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Skeleton> skeletons_;  // by shape
};

}  // namespace

std::shared_ptr<const ChatFormat> ChatFormat::load(const std::filesystem::path& model_dir,
                                                   std::shared_ptr<const Tokenizer> tokenizer,
                                                   const std::filesystem::path& chat_template) {
  return std::make_shared<TemplateFormat>(read_chat_template(model_dir, chat_template),
                                          std::move(tokenizer));
}

}  // namespace caprl
