// A model directory's chat template: the text, the variables that it sees, and what it renders.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "caprl/text/chat.h"

namespace caprl {

struct ChatTemplate {
  std::string source;
  std::string where;                                    // the file it came from, for messages
  nlohmann::json variables = nlohmann::json::object();  // bos_token, eos_token …

  /// `messages` as Hugging Face hands them over: [{"role": …, "content": text or list of parts}].
  /// Thinking is switched off (`enable_thinking`). InputError for what the template refuses or what
  /// is not supported.
  std::string render(const nlohmann::json& messages, bool generation_prompt) const;
};

/// The text is `override_file`'s if it is not empty, else from chat_template.jinja, else
/// chat_template.json, else tokenizer_config.json. InputError if there is none.
ChatTemplate read_chat_template(const std::filesystem::path& model_dir,
                                const std::filesystem::path& override_file);

}  // namespace caprl
