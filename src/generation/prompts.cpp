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
  check_images(images, where);
  std::vector<std::shared_ptr<const ImagePatches>> patches;
  for (const ImageSource& image : images) patches.push_back(load(image));
  Prompt prompt = expand(messages, std::move(patches), where);
  check_length(static_cast<int64_t>(prompt.ids.size()), where);
  return prompt;
}

void PromptBuilder::check_images(std::span<const ImageSource> images,
                                 const std::string& where) const {
  if (!images.empty() && !patches_)
    throw InputError("{}: the row has an image, but the model is text-only", where);
}

void PromptBuilder::check_length(int64_t tokens, const std::string& where) const {
  if (tokens > max_prompt_length_)
    throw InputError(
        "{}: the prompt is too long: expected at most {} tokens "
        "(data.max_prompt_length), got {}",
        where, max_prompt_length_, tokens);
}

namespace {

/// Of a text with one token in each image's place. No patches: a model of text alone.
PromptBuilder::Length with_images(size_t text_tokens, std::span<const ImageSource> images,
                                  const std::optional<PatchConfig>& patches, int64_t merge_size) {
  PromptBuilder::Length length{static_cast<int64_t>(text_tokens), 0};
  if (!patches) return length;
  for (const ImageSource& image : images) {
    const ImageSize size = stored_size(image);
    const int64_t rows = at_place(image.name, [&] { return count_patches(size, *patches); });
    length.image_tokens += rows / (merge_size * merge_size);
  }
  length.tokens += length.image_tokens - static_cast<int64_t>(images.size());
  return length;
}

}  // namespace

PromptBuilder::Length PromptBuilder::length(std::span<const ChatMessage> messages,
                                            std::span<const ImageSource> images) const {
  return with_images(chat_->render(messages, true).size(), images, patches_, traits_.merge_size);
}

PromptBuilder::Length PromptBuilder::measure(std::span<const ChatMessage> messages,
                                             std::span<const ImageSource> images,
                                             const std::string& where) const {
  check_images(images, where);
  const size_t text = at_place(where, [&] { return chat_->render(messages, true).size(); });
  const Length length = with_images(text, images, patches_, traits_.merge_size);
  check_length(length.tokens, where);
  return length;
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
