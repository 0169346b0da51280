#include "train/share.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "train/step_metrics.h"

namespace caprl {
namespace {

using nlohmann::json;

json pack(const AnswerRecord& answer) {
  return json::array({answer.asked.question, answer.asked.order, answer.asked.text,
                      static_cast<int>(answer.asked.right), static_cast<int>(answer.asked.abstain),
                      answer.asked.num_options,
                      json::binary({answer.output.begin(), answer.output.end()}),
                      static_cast<int>(answer.given), answer.valid, answer.right_probability});
}

std::string bytes_of(const json& value) {
  const auto& binary = value.get_binary();
  return {binary.begin(), binary.end()};
}

AnswerRecord unpack_answer(const json& value) {
  AnswerRecord answer;
  answer.asked.question = value[0];
  answer.asked.order = value[1].get<std::vector<int64_t>>();
  answer.asked.text = value[2];
  answer.asked.right = static_cast<char>(value[3].get<int>());
  answer.asked.abstain = static_cast<char>(value[4].get<int>());
  answer.asked.num_options = value[5];
  answer.output = bytes_of(value[6]);
  answer.given = static_cast<char>(value[7].get<int>());
  answer.valid = value[8];
  answer.right_probability = value[9];
  return answer;
}

json optional_number(const std::optional<double>& value) { return value ? json(*value) : json(); }

std::optional<double> unpack_optional(const json& value) {
  if (value.is_null()) return std::nullopt;
  return value.get<double>();
}

json pack(const Caption& caption) {
  json terms = json::array();
  for (const TermScore& term : caption.reward.terms)
    terms.push_back(json::array({term.name, optional_number(term.value)}));
  json answers = json::array();
  for (const AnswerRecord& answer : caption.reward.answers) answers.push_back(pack(answer));
  return json::array({caption.sampled.ids, caption.sampled.logprobs, caption.sampled.stopped,
                      json::binary({caption.text.begin(), caption.text.end()}),
                      caption.reward.num_right, caption.reward.num_asked,
                      optional_number(caption.reward.accuracy), std::move(terms),
                      optional_number(caption.reward.value), std::move(answers)});
}

Caption unpack_caption(const json& value) {
  Caption caption;
  caption.sampled.ids = value[0].get<std::vector<int64_t>>();
  caption.sampled.logprobs = value[1].get<std::vector<float>>();
  caption.sampled.stopped = value[2];
  caption.text = bytes_of(value[3]);
  caption.reward.num_right = value[4];
  caption.reward.num_asked = value[5];
  caption.reward.accuracy = unpack_optional(value[6]);
  for (const json& term : value[7])
    caption.reward.terms.push_back({term[0], unpack_optional(term[1])});
  caption.reward.value = unpack_optional(value[8]);
  for (const json& answer : value[9]) caption.reward.answers.push_back(unpack_answer(answer));
  return caption;
}

json pack(const CaptionGroup& group, std::span<const CaptionRow> rows) {
  json captions = json::array();
  for (const Caption& caption : group.captions) captions.push_back(pack(caption));
  return json::array(
      {group.row - rows.data(), group.prompt_id, group.prompt.ids, std::move(captions)});
}

CaptionGroup unpack_group(const json& value, std::span<const CaptionRow> rows) {
  CaptionGroup group;
  group.row = &rows[value[0].get<size_t>()];
  group.prompt_id = value[1];
  group.prompt.ids = value[2].get<std::vector<int64_t>>();
  for (const json& caption : value[3]) group.captions.push_back(unpack_caption(caption));
  return group;
}

int64_t num_tokens(const CaptionGroup& group) {
  auto count = static_cast<int64_t>(group.prompt.ids.size());
  for (const Caption& caption : group.captions)
    count += static_cast<int64_t>(caption.sampled.ids.size());
  return count;
}

}  // namespace

void share_groups(const Group& group, std::span<const CaptionRow> rows,
                  std::vector<CaptionGroup>& groups, Metrics& metrics) {
  if (group.size() == 1) return;
  json mine = {{"bad_rows", metrics["data/bad_rows"]}, {"groups", json::array()}};
  for (const CaptionGroup& own : groups) mine["groups"].push_back(pack(own, rows));
  const auto cbor = json::to_cbor(mine);
  const auto begin = std::chrono::steady_clock::now();
  group.barrier();
  metrics["timing_s/wait_gen"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto all = group.gather_bytes({cbor.begin(), cbor.end()});
  double bad_rows = 0;
  for (int r = 0; r < group.size(); ++r) {
    const json theirs = json::from_cbor(all[static_cast<size_t>(r)]);
    bad_rows += theirs["bad_rows"].get<double>();
    if (r == group.rank()) continue;  // its own are here, with their images
    for (const json& packed : theirs["groups"]) groups.push_back(unpack_group(packed, rows));
  }
  metrics["data/bad_rows"] = bad_rows;
  std::ranges::sort(groups, {}, &CaptionGroup::prompt_id);
}

std::vector<int> deal_prompts(const Group& group, int64_t count,
                              const std::function<int64_t(int64_t)>& num_tokens) {
  return deal_by_tokens(group, count, num_tokens, (count + group.size() - 1) / group.size());
}

std::vector<int> deal_by_tokens(const Group& group, int64_t count,
                                const std::function<int64_t(int64_t)>& num_tokens, int64_t most) {
  if (group.size() == 1) return std::vector<int>(static_cast<size_t>(count), 0);
  std::vector<double> mine(static_cast<size_t>((count + group.size() - 1) / group.size()));
  for (int64_t i = group.rank(); i < count; i += group.size())
    mine[static_cast<size_t>(i / group.size())] = static_cast<double>(num_tokens(i));
  const auto all = gather_numbers(group, mine);
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < count; ++i)
    sizes.push_back(static_cast<int64_t>(
        all[static_cast<size_t>(i % group.size())][static_cast<size_t>(i / group.size())]));
  return deal(sizes, group.size(), most);
}

void add_idle_metrics(const Group& group, Metrics& metrics) {
  if (group.size() == 1) return;
  const double mine = metrics["timing_s/wait_gen"] + metrics["timing_s/wait_update"];
  Summary idle;
  for (const auto& seconds : gather_numbers(group, {mine})) idle.add(seconds[0]);
  metrics["perf/rank_idle_s/max"] = idle.max();
  metrics["perf/rank_idle_s/mean"] = idle.mean();
}

void deal_groups(std::vector<CaptionGroup>& groups, int64_t mini_batches, int ranks) {
  for (int64_t i = 0; i < mini_batches; ++i) {
    const auto batch = mini_batch(groups, i, mini_batches);
    std::vector<int64_t> sizes;
    for (const CaptionGroup& group : batch) sizes.push_back(num_tokens(group));
    const auto owners = deal(sizes, ranks);
    for (size_t g = 0; g < batch.size(); ++g) batch[g].trained_by = owners[g];
  }
}

std::vector<int> deal(std::span<const int64_t> sizes, int ranks, int64_t most) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t i) { return sizes[i]; });
  struct Hand {
    int64_t size = 0, count = 0;
  };
  std::vector<Hand> hands(static_cast<size_t>(ranks));
  std::vector<int> owner(sizes.size());
  for (const size_t i : order) {
    const auto least = std::ranges::min_element(
        hands, {}, [&](const Hand& hand) { return std::pair(hand.count >= most, hand.size); });
    least->size += sizes[i];
    ++least->count;
    owner[i] = static_cast<int>(least - hands.begin());
  }
  return owner;
}

}  // namespace caprl
