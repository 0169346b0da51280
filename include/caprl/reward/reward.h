// The caption reward: how many of the image's questions a frozen text-only LLM answers right from
// the caption alone (CapRL, arXiv 2509.22647, section 3; released server's defaults).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/generation/generator.h"
#include "caprl/models/model.h"
#include "caprl/reward/question.h"
#include "caprl/text/chat.h"

namespace caprl {

enum class AnswerMode { kSample, kLetterLogits };
enum class QuestionDraw { kWithReplacement, kAll };

struct AnswererConfig {
  std::string model;  // Hugging Face directory of a text LLM
  std::string dtype = "float32";
  AnswerMode mode = AnswerMode::kSample;
  double temperature = 0.6;
  double top_p = 1.0;
  int64_t max_new_tokens = 10;
  GenerationLimits limits;       // of kSample
  int64_t micro_tokens = 16384;  // tokens packed into one forward pass
  std::string chat_template;     // a Jinja file; empty: the model directory's
  std::string system_prompt;     // empty: the chat template's default
  std::string prompt;            // with {caption} and {question}; empty: the built-in one
  std::string assistant_prefix = "The answer is";
  void fields(ConfigVisitor& v);
};

struct RewardConfig {
  AnswererConfig answerer;
  QuestionDraw draw = QuestionDraw::kWithReplacement;
  int64_t qa_num = 8;               // draws per caption with kWithReplacement
  bool shuffle_choices = false;     // permute and relabel the options of every draw
  bool same_draws_in_group = true;  // all captions of a group get the same questions and orders
  std::string abstain_choice;       // text of an appended option; empty: none
  std::string abstain_label;        // its letter; empty, or taken by a choice: the next letter
  double scale = 2.0;               // reward = scale · right / asked
  bool shuffle_rewards = false;     // control: the trainer permutes rewards within each step
  void fields(ConfigVisitor& v);
};

/// One question put to the answerer and what came back.
struct AnswerRecord {
  AskedQuestion asked;
  std::string output;  // generated text, or the chosen letter in kLetterLogits
  char given = 0;      // 0: no letter found
  bool valid = true;   // false: the prompt exceeds the answerer's context; left out of the reward
  double right_probability = 0;  // kLetterLogits: probability of the right letter among the options
  bool right() const { return valid && given == asked.right; }
};

struct CaptionReward {
  int64_t num_right = 0;
  int64_t num_asked = 0;  // valid answers only
  std::vector<AnswerRecord> answers;
  std::optional<double> value;  // scale · num_right / num_asked; absent without a valid answer
};

struct GroupToScore {
  uint64_t prompt_id = 0;
  const std::vector<Question>* questions = nullptr;
  std::vector<std::string> captions;
};

class RewardModel {
 public:
  /// Loads the answerer. InputError for a bad directory, dtype, or abstain label, for a prompt
  /// without its placeholders, and in kLetterLogits for a tokenizer without tokens for the letters.
  RewardModel(RewardConfig config, uint64_t seed, at::Device device);
  ~RewardModel();
  /// [groups][captions]. A pure function of (weights, seed, step, prompt ids, captions); how
  /// captions are batched changes logits by rounding at most. An empty caption is asked about like
  /// any other. Error for a group without questions and for logits that are not finite.
  std::vector<std::vector<CaptionReward>> score(std::span<const GroupToScore> groups,
                                                uint64_t step) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
