#include "caprl/generation/prompts.h"

#include "caprl/core/error.h"

namespace caprl {

PromptBuilder::PromptBuilder(const std::filesystem::path& model_dir,
                             const std::filesystem::path& chat_template, ModelTraits traits,
                             int64_t max_prompt_length)
    : traits_(std::move(traits)),
      max_prompt_length_(max_prompt_length),
      tokenizer_(Tokenizer::load(model_dir)),
      chat_(ChatFormat::load(model_dir, tokenizer_, chat_template)) {
  if (traits_.image_token_id) patches_ = PatchConfig::load(model_dir);
  if (tokenizer_->vocab_size() > traits_.vocab_size)
    throw InputError("{}: the tokenizer has {} ids, but the model's embedding only {} rows",
                     model_dir.string(), tokenizer_->vocab_size(), traits_.vocab_size);
}

Prompt PromptBuilder::build(std::span<const ChatMessage> messages,
                            std::span<const ImageSource> images, const std::string& where) const {
  if (!images.empty() && !patches_)
    throw InputError("{}: the row has an image, but the model is text-only", where);
  std::vector<std::shared_ptr<const ImagePatches>> patches;
  for (const ImageSource& image : images) patches.push_back(load(image));
  Prompt prompt = expand(messages, std::move(patches), where);
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length > max_prompt_length_)
    throw InputError(
        "{}: the prompt is too long: expected at most {} tokens "
        "(data.max_prompt_length), got {}",
        where, max_prompt_length_, length);
  return prompt;
}

int64_t PromptBuilder::num_tokens(std::span<const ChatMessage> messages,
                                  std::span<const ImageSource> images) const {
  auto count = static_cast<int64_t>(chat_->render(messages, true).size());
  for (const ImageSource& image : images) {
    if (!patches_) continue;
    const int64_t patches = count_patches(stored_size(image), *patches_);
    count += patches / (traits_.merge_size * traits_.merge_size) - 1;  // one stands there already
  }
  return count;
}

std::shared_ptr<const ImagePatches> PromptBuilder::load(const ImageSource& source) const {
  const RgbImage image = load_image(source);
  return std::make_shared<const ImagePatches>(
      at_place(source.name, [&] { return make_patches(image, *patches_); }));
}

Prompt PromptBuilder::expand(std::span<const ChatMessage> messages,
                             std::vector<std::shared_ptr<const ImagePatches>> images,
                             const std::string& where) const {
  return at_place(where, [&] {
    return expand_images(chat_->render(messages, true), std::move(images), traits_);
  });
}

std::vector<int64_t> PromptBuilder::response(const std::string& text) const {
  std::vector<int64_t> ids = tokenizer_->encode(text, false);
  ids.push_back(chat_->stop_ids().front());
  return ids;
}

std::string PromptBuilder::text(std::span<const int64_t> ids) const {
  return tokenizer_->decode(ids, true);
}

}  // namespace caprl
