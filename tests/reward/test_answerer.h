// A tiny random answerer in a temporary model directory, and questions to put to it.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/model.h"
#include "caprl/reward/reward.h"
#include "caprl/text/word_tokenizer.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {

class AnswererDir {
 public:
  explicit AnswererDir(const nlohmann::json& config_changes = nlohmann::json::object()) {
    WordTokenizerSpec spec;
    spec.words = {"what", "color", "is", "the", "ball", "red", "blue", "green", "a",
                  "dog",  "A",     "B",  "C",   "D",    "E",   ")",    "?",     "answer"};
    write_word_tokenizer(path(), spec);
    const auto tokenizer = Tokenizer::load(path());
    // Weights are large enough for answers that depend on captions and questions.
    nlohmann::json config = {{"architectures", {"Qwen2ForCausalLM"}},
                             {"model_type", "qwen2"},
                             {"vocab_size", tokenizer->vocab_size()},
                             {"hidden_size", 24},
                             {"intermediate_size", 40},
                             {"num_hidden_layers", 2},
                             {"num_attention_heads", 6},
                             {"num_key_value_heads", 2},
                             {"rms_norm_eps", 1e-6},
                             {"rope_theta", 10000.0},
                             {"hidden_act", "silu"},
                             {"tie_word_embeddings", true},
                             {"initializer_range", 0.3},
                             {"eos_token_id", *tokenizer->token_id("<|im_end|>")}};
    config.update(config_changes);
    write_file_atomic(path() / "config.json", config.dump());
    write_weights(*Model::random(config, 5, {}));
  }
  AnswererDir(const AnswererDir&) = delete;

  void write_weights(const Model& model) const {
    NamedTensors tensors;
    for (const ParameterSpec& spec : model.parameters().specs())
      tensors.emplace_back(spec.name, model.parameters().get(spec.name).detach());
    write_safetensors(path() / "model.safetensors", tensors);
  }
  const std::filesystem::path& path() const { return folder_.path(); }

  RewardConfig config(AnswerMode mode) const {
    RewardConfig config;
    config.answerer.model = path().string();
    config.answerer.mode = mode;
    config.answerer.prompt = "{caption} {question}";
    config.qa_num = 5;
    config.shuffle_choices = true;
    config.abstain_choice = "unknown";
    config.scale = 1;
    return config;
  }

 private:
  TempFolder folder_;
};

inline const std::vector<Question>& some_questions() {
  static const std::vector<Question> questions{
      {"what color is the ball ?", {"red", "blue", "green", "a dog"}, 1},
      {"what is the dog ?", {"a ball", "blue"}, 0},
      {"is the ball blue ?", {"yes", "no", "the answer is a color"}, 2}};
  return questions;
}

inline std::vector<GroupToScore> some_groups() {
  return {{11, &some_questions(), {{"the ball is red"}, {""}, {"a dog"}, {"the ball is red"}}},
          {12, &some_questions(), {{"blue blue"}, {"what is the answer ?"}}},
          {13, &some_questions(), {{"green"}}}};
}

}  // namespace caprl
