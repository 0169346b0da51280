// Messages and images to model prompts: chat format, image patches, expanded image tokens.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "caprl/image/source.h"
#include "caprl/models/model.h"
#include "caprl/text/chat.h"

namespace caprl {

/// The text and image side of a model directory. Immutable; thread safe.
class PromptBuilder {
 public:
  /// Reads the tokenizer, the chat template (from `chat_template` if it is not empty) and, of a
  /// vision-language model, preprocessor_config.json.
  PromptBuilder(const std::filesystem::path& model_dir, const std::filesystem::path& chat_template,
                ModelTraits traits, int64_t max_prompt_length);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  std::shared_ptr<const Tokenizer> shared_tokenizer() const { return tokenizer_; }
  const ChatFormat& chat() const { return *chat_; }
  const ModelTraits& traits() const { return traits_; }

  /// The prompt up to the opened assistant turn. InputError names `where` for unusable images and
  /// for prompts longer than max_prompt_length.
  Prompt build(std::span<const ChatMessage> messages, std::span<const ImageSource> images,
               const std::string& where) const;
  /// The image's patches, for expand(). InputError if it cannot be used.
  std::shared_ptr<const ImagePatches> load(const ImageSource& image) const;
  /// build() of images that are loaded already, whatever the prompt's length.
  Prompt expand(std::span<const ChatMessage> messages,
                std::vector<std::shared_ptr<const ImagePatches>> images,
                const std::string& where) const;
  /// How many tokens build() will give, by the images' headers alone.
  struct Length {
    int64_t tokens = 0, image_tokens = 0;  // all, and the images' among them
  };
  Length length(std::span<const ChatMessage> messages, std::span<const ImageSource> images) const;
  int64_t num_tokens(std::span<const ChatMessage> messages,
                     std::span<const ImageSource> images) const {
    return length(messages, images).tokens;
  }
  /// The same with the InputErrors of build(), but for those of the images' pixels.
  Length measure(std::span<const ChatMessage> messages, std::span<const ImageSource> images,
                 const std::string& where) const;
  /// A response as it is trained on: its tokens and the end of the turn.
  std::vector<int64_t> response(const std::string& text) const;
  /// A sampled response as text, without its special tokens.
  std::string text(std::span<const int64_t> ids) const;

 private:
  void check_images(std::span<const ImageSource> images, const std::string& where) const;
  void check_length(int64_t tokens, const std::string& where) const;

  ModelTraits traits_;
  int64_t max_prompt_length_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> chat_;
  std::optional<PatchConfig> patches_;
};

}  // namespace caprl
