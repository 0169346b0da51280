#include "caprl/train/rollout.h"

#include <nlohmann/json.hpp>

#include "caprl/generation/prompts.h"
#include "caprl/io/jsonl.h"

namespace caprl {
namespace {

std::string letter(char label) { return label ? std::string(1, label) : std::string(); }

// Assigned key by key: an initializer list copies every value, and these are a step's most.
nlohmann::json answer_to_json(const AnswerRecord& answer) {
  nlohmann::json line;
  line["question"] = answer.asked.question;
  line["order"] = answer.asked.order;
  line["asked"] = answer.asked.text;
  line["labels"] = answer.asked.labels();
  line["right"] = letter(answer.asked.right);
  line["abstain"] = letter(answer.asked.abstain);
  line["given"] = letter(answer.given);
  line["output"] = answer.output;
  line["valid"] = answer.valid;
  line["right_probability"] = answer.right_probability;
  return line;
}

nlohmann::json terms_to_json(const CaptionReward& reward) {
  nlohmann::json terms = nlohmann::json::object();
  for (const TermScore& term : reward.terms)
    terms[term.name] = term.value ? nlohmann::json(*term.value) : nlohmann::json();
  return terms;
}

/// How many bytes of the caption each of its tokens adds: 0 for the end of the turn and where a
/// character is not finished.
std::vector<int64_t> bytes_of_tokens(const Caption& caption, const Tokenizer& tokenizer) {
  const auto stream = tokenizer.stream(true);
  std::vector<int64_t> bytes;
  std::string text;
  for (size_t i = 0; i < caption.sampled.ids.size(); ++i) {
    const auto before = std::ssize(text);
    stream->push(caption.sampled.ids[i], text);
    if (i + 1 == caption.sampled.ids.size()) stream->finish(text);
    bytes.push_back(std::ssize(text) - before);
  }
  return bytes;
}

nlohmann::json caption_to_json(int64_t step, const CaptionGroup& group, size_t sample,
                               const Tokenizer& tokenizer) {
  const Caption& caption = group.captions[sample];
  nlohmann::json answers = nlohmann::json::array();
  for (const AnswerRecord& answer : caption.reward.answers)
    answers.push_back(answer_to_json(answer));
  nlohmann::json line;
  line["step"] = step;
  line["id"] = group.row->id;
  line["prompt_id"] = group.prompt_id;
  line["row"] = group.row->where;
  line["image"] = nullptr;
  line["sample"] = sample;
  line["caption"] = caption.text;
  line["response_ids"] = caption.sampled.ids;
  line["token_bytes"] = bytes_of_tokens(caption, tokenizer);
  line["logprobs"] = caption.sampled.logprobs;
  line["stopped"] = caption.sampled.stopped;
  line["num_right"] = caption.reward.num_right;
  line["num_asked"] = caption.reward.num_asked;
  line["terms"] = terms_to_json(caption.reward);
  line["reward"] = nullptr;
  line["advantage"] = caption.advantage;
  line["answers"] = std::move(answers);
  if (caption.reward.value) line["reward"] = *caption.reward.value;
  if (!group.row->image.path.empty()) line["image"] = group.row->image.path.string();
  return line;
}

}  // namespace

GenerationStats sample_captions(const Model& policy, const PromptBuilder& prompts, int64_t n,
                                const SamplingParams& params, const GenerationLimits& limits,
                                std::vector<CaptionGroup>& groups) {
  std::vector<GenerationRequest> requests;
  requests.reserve(groups.size());
  for (const CaptionGroup& group : groups) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt = group.prompt;
    request.prompt_id = group.prompt_id;
    request.suffixes.resize(static_cast<size_t>(n));
  }
  GenerationStats stats;
  auto sampled = generate(policy, requests, params, limits, &stats);
  for (size_t g = 0; g < groups.size(); ++g) {
    groups[g].captions.resize(n);
    for (int64_t i = 0; i < n; ++i) {
      Caption& caption = groups[g].captions[i];
      caption.sampled = std::move(sampled[g][i]);
      caption.text = prompts.text(caption.sampled.ids);
    }
  }
  return stats;
}

void score_captions(const RewardModel& reward, uint64_t step, std::vector<CaptionGroup>& groups) {
  std::vector<GroupToScore> to_score;
  to_score.reserve(groups.size());
  for (const CaptionGroup& group : groups) {
    GroupToScore& item = to_score.emplace_back();
    item.prompt_id = group.prompt_id;
    item.questions = &group.row->questions;
    item.image = &group.row->image;
    for (const Caption& caption : group.captions)
      item.captions.push_back(
          {caption.text, std::ssize(caption.sampled.ids) - (caption.sampled.stopped ? 1 : 0)});
  }
  auto rewards = reward.score(to_score, step);
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < groups[g].captions.size(); ++i)
      groups[g].captions[i].reward = std::move(rewards[g][i]);
}

void shuffle_rewards(uint64_t seed, uint64_t step, std::vector<CaptionGroup>& groups) {
  std::vector<Caption*> captions;
  for (CaptionGroup& group : groups)
    for (Caption& caption : group.captions) captions.push_back(&caption);
  const CounterRng rng(seed, RandomPurpose::kRewardShuffle, {step});
  const auto order = rng.permutation(static_cast<int64_t>(captions.size()), 0);
  std::vector<CaptionReward> shuffled;
  for (const int64_t from : order) shuffled.push_back(captions[from]->reward);
  for (size_t i = 0; i < captions.size(); ++i) {
    CaptionReward& reward = captions[i]->reward;  // its answers stay those of its caption
    reward.num_right = shuffled[i].num_right;
    reward.num_asked = shuffled[i].num_asked;
    reward.accuracy = shuffled[i].accuracy;
    reward.terms = shuffled[i].terms;
    reward.value = shuffled[i].value;
  }
}

void write_rollouts(const std::filesystem::path& file, int64_t step,
                    const std::vector<CaptionGroup>& groups, const Tokenizer& tokenizer) {
  std::vector<std::pair<const CaptionGroup*, size_t>> captions;
  for (const CaptionGroup& group : groups)
    for (size_t i = 0; i < group.captions.size(); ++i) captions.emplace_back(&group, i);
  write_jsonl_zst(file, std::ssize(captions), [&](int64_t i) {
    const auto& [group, sample] = captions[static_cast<size_t>(i)];
    return caption_to_json(step, *group, sample, tokenizer);
  });
}

}  // namespace caprl
