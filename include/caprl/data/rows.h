// Rows of data files: what a row says, checked, before any image is read.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "caprl/image/source.h"
#include "caprl/reward/question.h"
#include "caprl/text/chat.h"

namespace caprl {

/// An image and what is asked about it: {"id", "image": path | {"path" | "bytes" (base64)},
/// "prompt": [{"role", "content"}]}.
struct ImageRow {
  std::string id;
  std::string where;  // "file:line"
  std::vector<ChatMessage> prompt;
  ImageSource image;
};

/// One row of the CapRL-QA schema: an image row with "reward_model": {"ground_truth": [{"question",
/// "choices", "answer"}]}.
struct CaptionRow : ImageRow {
  std::vector<Question> questions;
};

/// One row of supervised data: {"id", "messages": [{"role", "content"}], "response"}, and "image"
/// as in an image row, where "<image>" in a content says its place.
struct SftRow {
  std::string id;
  std::string where;
  std::vector<ChatMessage> messages;
  std::vector<ImageSource> images;  // of the image parts, in order
  std::string response;
};

/// "content" is text, in which "<image>" stands for the row's image, or a list of
/// {"type": "text", "text"} and {"type": "image", "image": path}, or without a path for the row's
/// image.
std::vector<ChatMessage> parse_messages(const nlohmann::json& messages, std::string_view where);

/// The image that a row's key "image" names, or `stored` if that is one. Nothing is read of it.
ImageSource image_of_row(const nlohmann::json& row, const std::string& where,
                         const std::filesystem::path& folder, const StoredImage& stored);

/// Relative image paths are taken from `folder`. Texts that contain one of the tokenizer's added
/// tokens are refused.
/// `prompt` is that of rows without one; if it is empty, they are refused. `image` is the row's
/// image where its file keeps it apart from the row; otherwise the row's own key says which it is.
ImageRow parse_image_row(const nlohmann::json& row, std::string where,
                         const std::filesystem::path& folder, const Tokenizer& tokenizer,
                         const std::vector<ChatMessage>& prompt = {},
                         const StoredImage& image = {});
CaptionRow parse_caption_row(const nlohmann::json& row, const std::string& where,
                             const std::filesystem::path& folder, const Tokenizer& tokenizer,
                             const StoredImage& image = {});
SftRow parse_sft_row(const nlohmann::json& row, std::string where,
                     const std::filesystem::path& folder, const Tokenizer& tokenizer,
                     const StoredImage& image = {});

}  // namespace caprl
