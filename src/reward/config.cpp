#include "caprl/core/error.h"
#include "caprl/reward/reward.h"

namespace caprl {

void AnswererConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of the text LLM");
  v.field("dtype", dtype, "float32, bfloat16 or float64");
  v.field("shard_layers", shard_layers,
          "decoder layers that are gathered at a time where each process holds its part of the "
          "model; 0: each holds all of it",
          Range{0, 10000});
  v.choice(
      "mode", mode, {{"sample", AnswerMode::kSample}, {"letter_logits", AnswerMode::kLetterLogits}},
      "sample: generate an answer, as published; letter_logits: compare the letters' probabilities "
      "in one forward pass");
  v.field("temperature", temperature, "of mode sample; 0: greedy", Range{0, 100});
  v.field("top_p", top_p, "of mode sample", Range{1e-6, 1});
  v.field("max_new_tokens", max_new_tokens, "of mode sample", Range{1, 1e6});
  limits.fields(v);
  v.field("chat_template", chat_template,
          "Jinja file in place of the model directory's chat template");
  v.field("system_prompt", system_prompt, "empty: the chat template's default");
  v.field("prompt", prompt, "text with {caption} and {question}; empty: the built-in prompt");
  v.field("assistant_prefix", assistant_prefix, "what the answerer's turn begins with");
  v.choice(
      "credit", credit, {{"chosen", AnswerCredit::kChosen}, {"expected", AnswerCredit::kExpected}},
      "what an answer counts. chosen: 1 for the right letter; expected, in mode letter_logits: "
      "the right letter's probability among the options");
  servers.fields(v);
}

void RewardConfig::fields(ConfigVisitor& v) {
  v.section("answerer", answerer, "the frozen text LLM");
  v.choice("draw", draw,
           {{"with_replacement", QuestionDraw::kWithReplacement}, {"all", QuestionDraw::kAll}},
           "with_replacement: qa_num random questions per caption; all: each question once");
  v.field("qa_num", qa_num, "questions per caption with with_replacement", Range{1, 10000});
  v.field("shuffle_choices", shuffle_choices,
          "permute and relabel the options of every question asked");
  v.field("same_draws_in_group", same_draws_in_group,
          "all captions of an image get the same questions and orders");
  v.field("abstain_choice", abstain_choice,
          "text of an option that is appended and never right; empty: none");
  v.field("abstain_label", abstain_label,
          "its letter, from A to I; empty, or taken by one of the choices: the next one");
  v.field("scale", scale,
          "reward = scale · right answers / questions asked, plus weight · value of each term; 0: "
          "right "
          "answers are reported (if there is an answerer) but not rewarded",
          Range{0, 1e6});
  terms.fields(v);
  v.field("normalize_terms", normalize_terms,
          "standardise right answers and terms within each group (mean 0, deviation 1) before they "
          "are weighted and summed");
  v.field("shuffle_rewards", shuffle_rewards,
          "control experiment: training rewards are permuted between all captions of a step");
}

void RewardConfig::validate() const {
  if (scale == 0 && terms.active().empty())
    throw InputError("config: 'reward.scale' is 0 and no term has a weight: there is no reward");
  if (scale != 0 && !asks_questions())
    throw InputError("config: 'reward.answerer.model' must be set");
  if (!answerer.model.empty() && !answerer.servers.url.empty())
    throw InputError(
        "config: 'reward.answerer.model' and 'reward.answerer.url' are both set; expected "
        "one of them");
  if (answerer.credit == AnswerCredit::kExpected && answerer.mode != AnswerMode::kLetterLogits)
    throw InputError(
        "config: 'reward.answerer.credit': expected needs the mode letter_logits, got sample");
  const bool is_letter =
      abstain_label.size() == 1 && abstain_label[0] >= 'A' && abstain_label[0] <= 'I';
  if (!abstain_label.empty() && !is_letter)
    throw InputError("config: 'reward.abstain_label': expected a letter from A to I, got '{}'",
                     abstain_label);
  parse_dtype(answerer.dtype, "config: 'reward.answerer.dtype'");
  terms.validate();
}

}  // namespace caprl
