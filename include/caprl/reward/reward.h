// The caption reward: how many of the image's questions a frozen text-only LLM answers right from
// the caption alone (CapRL, arXiv 2509.22647, section 3; released server's defaults), and further
// terms. docs/REWARD.md has the protocols and where caprl differs from them.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "caprl/core/config.h"
#include "caprl/dist/group.h"
#include "caprl/generation/generator.h"
#include "caprl/models/model.h"
#include "caprl/reward/score.h"
#include "caprl/reward/servers.h"
#include "caprl/reward/term.h"
#include "caprl/text/chat.h"

namespace caprl {

enum class AnswerMode { kSample, kLetterLogits };
enum class QuestionDraw { kWithReplacement, kAll };
/// What an answer counts: 0 or 1 by the chosen letter, or the probability of the right one.
enum class AnswerCredit { kChosen, kExpected };

struct AnswererConfig {
  std::string model;      // Hugging Face directory of a text LLM
  ServersConfig servers;  // in place of a model: `caprl serve-reward` elsewhere
  std::string dtype = "float32";
  int64_t shard_layers = 0;
  AnswerMode mode = AnswerMode::kSample;
  double temperature = 0.6;
  double top_p = 1.0;
  int64_t max_new_tokens = 10;
  GenerationLimits limits;
  std::string chat_template;  // a Jinja file; empty: the model directory's
  std::string system_prompt;  // empty: the chat template's default
  std::string prompt;         // with {caption} and {question}; empty: the built-in one
  std::string assistant_prefix = "The answer is";
  AnswerCredit credit = AnswerCredit::kChosen;
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
  double scale = 2.0;               // weight of right / asked; 0: reported, but not rewarded
  RewardTerms terms;                // sections reward.length, reward.repetition, …
  bool normalize_terms = false;     // standardise each part within the group before the sum
  bool shuffle_rewards = false;     // control: the trainer permutes rewards within each step
  void fields(ConfigVisitor& v);
  /// Conditions between keys; InputError names both.
  void validate() const;
  bool asks_questions() const { return !answerer.model.empty() || !answerer.servers.url.empty(); }
};

class RewardModel {
 public:
  /// Loads the answerer, if questions are asked, and what the terms need. InputError for a bad
  /// directory, dtype, or abstain label, for a prompt without its placeholders, and in
  /// kLetterLogits for a tokenizer without tokens for the letters. `ranks` hold the answerer's
  /// layers among them with answerer.shard_layers, and must live as long: every one of them then
  /// calls score() and answer() as often as the others.
  RewardModel(RewardConfig config, uint64_t seed, at::Device device,
              const Group& ranks = Group::alone());
  ~RewardModel();
  /// A pure function of (weights, seed, step, prompt ids, captions); how captions are batched
  /// changes logits by rounding at most. An empty caption is asked about like any other. Error for
  /// a group without questions and for logits that are not finite.
  GroupScores score(std::span<const GroupToScore> groups, uint64_t step) const;
  /// Only the questions' part of it: answers, counts, accuracy. Nothing is asked without an
  /// answerer.
  GroupScores answer(std::span<const GroupToScore> groups, uint64_t step) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
