// A folder of data files and the tokenizer that rows are checked against.
#pragma once
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caprl/text/tokenizer.h"
#include "caprl/text/word_tokenizer.h"
#include "support/errors.h"
#include "support/json.h"
#include "support/temp_folder.h"

namespace caprl {

class DataFiles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    owner_ = std::make_unique<TempFolder>();
    folder_ = owner_->path();
    write_word_tokenizer(folder_,
                         {.words = {"red", "circle"}, .images = true, .default_system = {}});
    tokenizer_ = Tokenizer::load(folder_);
    write("a.png", "not looked at before it is used");
  }
  static void TearDownTestSuite() { owner_.reset(); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  /// A row of the CapRL-QA schema.
  static nlohmann::json caption_row() {
    return json_of(R"({
      "id": "7", "data_source": "image_caption_rl", "image": {"path": "a.png"},
      "prompt": [{"role": "user", "content": "<image> Describe."}],
      "reward_model": {"ground_truth": [
        {"question": "What colour?", "choices": ["A) red", "B) blue"], "answer": "B"},
        {"question": "What shape?", "choices": ["circle", "square", "star"], "answer": "circle"}]}})");
  }
  static nlohmann::json sft_row() {
    return json_of(R"({
      "id": 3, "response": "a circle",
      "messages": [{"role": "system", "content": "Be brief."},
                   {"role": "user", "content": [{"type": "image", "image": "a.png"},
                                                {"type": "text", "text": "What is <image>?"}]}]})");
  }

  inline static std::unique_ptr<TempFolder> owner_;
  inline static std::filesystem::path folder_;
  inline static std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace caprl
