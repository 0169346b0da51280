// Lines of `caprl score` to token ids and images.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/image/image.h"
#include "caprl/models/model.h"
#include "caprl/text/chat.h"

namespace caprl {

/// One line of the input, ready to run.
struct ScoreRow {
  nlohmann::json id;  // as given; the line's number without one
  std::string where;  // "file:line"
  Prompt prompt;
  std::vector<int64_t> response;  // empty where tokens are to be generated
};

/// Reads what a line needs of the model directory when the first line needs it, so that lines of
/// ids work without a tokenizer.
class ScoreRowReader {
 public:
  ScoreRowReader(std::filesystem::path model_dir, std::filesystem::path chat_template,
                 ModelTraits traits)
      : model_dir_(std::move(model_dir)),
        chat_template_(std::move(chat_template)),
        traits_(std::move(traits)) {}

  /// `folder`: where relative image paths start. `with_response` false: a response is refused.
  /// InputError "FILE:LINE: …".
  ScoreRow read(const nlohmann::json& line, const std::string& where, int64_t number,
                const std::filesystem::path& folder, bool with_response);

  /// Text of ids with their special tokens left out; null without a tokenizer.
  nlohmann::json text(std::span<const int64_t> ids);
  /// What each id adds to the text with all tokens in it: of a character's tokens the last one adds
  /// the character, and the very last adds what is unfinished. Null without a tokenizer.
  nlohmann::json token_texts(std::span<const int64_t> ids);

 private:
  const Tokenizer& tokenizer();
  const ChatFormat& chat();
  const PatchConfig& patches();
  std::vector<int64_t> conversation(const nlohmann::json& messages, const std::string& where,
                                    std::vector<std::string>& images);
  std::vector<int64_t> raw_prompt(const std::string& text);
  Prompt read_prompt(const nlohmann::json& line, const std::string& where,
                     const std::filesystem::path& folder);
  std::vector<int64_t> read_response(const nlohmann::json& line, const std::string& where);
  std::vector<std::shared_ptr<const ImagePatches>> load_images(
      const std::vector<std::string>& paths, const std::string& where,
      const std::filesystem::path& folder);
  void check_ids(const std::vector<int64_t>& ids, const char* key, const std::string& where) const;

  void check_images(const Prompt& prompt, const std::string& where) const;

  std::filesystem::path model_dir_;
  std::filesystem::path chat_template_;
  ModelTraits traits_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> chat_;
  std::optional<PatchConfig> patches_;
};

}  // namespace caprl
