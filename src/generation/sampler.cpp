#include "sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/generation/cache_tokens.h"
#include "caprl/ops/linear.h"
#include "caprl/ops/sample.h"
#include "caprl/ops/upload.h"
#include "row_math.h"

namespace caprl {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int64_t kLogitsPerTask = 4096;  // less work is not worth a thread

[[noreturn]] void throw_not_finite(const SampleRow& row) {
  throw Error("[sampler] logits are not finite: prompt {}, sample {}, token {}", row.prompt_id,
              row.sample, row.position);
}

}  // namespace

Sampler::Sampler(const SamplingParams& params, const at::Tensor& head_weight)
    : head_VH_(head_weight.detach()),
      temperature_(params.temperature > 0 ? static_cast<float>(params.temperature) : 1.0f),
      greedy_(params.temperature == 0),
      top_k_(params.top_k),
      top_p_(params.top_p),
      repetition_penalty_(static_cast<float>(params.repetition_penalty)),
      num_top_logprobs_(params.num_top_logprobs),
      banned_(params.banned_ids),
      scored_(params.scored_ids) {
  const int64_t vocab_size = head_weight.size(0);
  if (!(params.temperature >= 0) || params.top_k < 0 || !(params.top_p > 0 && params.top_p <= 1))
    throw Error(
        "[sampler] expected temperature ≥ 0, top_k ≥ 0 and top_p in (0, 1], got {}, {} and {}",
        params.temperature, params.top_k, params.top_p);
  if (!(params.repetition_penalty > 0) || num_top_logprobs_ < 0 || num_top_logprobs_ > vocab_size)
    throw Error(
        "[sampler] expected repetition_penalty > 0 and num_top_logprobs in [0, {}], got {} and {}",
        vocab_size, params.repetition_penalty, num_top_logprobs_);
  std::sort(banned_.begin(), banned_.end());
  banned_.erase(std::unique(banned_.begin(), banned_.end()), banned_.end());
  if (!banned_.empty() && (banned_.front() < 0 || banned_.back() >= vocab_size))
    throw Error("[sampler] expected banned ids in [0, {}), got {} to {}", vocab_size,
                banned_.front(), banned_.back());
  if (static_cast<int64_t>(banned_.size()) == vocab_size)
    throw Error("[sampler] all {} tokens of the vocabulary are banned", vocab_size);
  for (const int64_t id : scored_)
    if (id < 0 || id >= vocab_size)
      throw Error("[sampler] expected scored ids in [0, {}), got {}", vocab_size, id);
  banned_bits_ = ops::banned_bits(banned_, vocab_size, head_weight.device());
}

/// Ids that top_k and top_p leave, given logits without banned tokens; equal logits rank by id.
std::vector<int64_t> Sampler::candidates(std::span<const float> logits) const {
  const auto is_worse = [logits](int64_t a, int64_t b) {
    return logits[a] < logits[b] || (logits[a] == logits[b] && a > b);
  };
  const auto is_better = [&is_worse](int64_t a, int64_t b) { return is_worse(b, a); };
  std::vector<int64_t> ids;
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] > kNever) ids.push_back(static_cast<int64_t>(id));
  if (top_k_ > 0 && top_k_ < static_cast<int64_t>(ids.size())) {
    std::nth_element(ids.begin(), ids.begin() + (top_k_ - 1), ids.end(), is_better);
    ids.resize(static_cast<size_t>(top_k_));
  }
  if (top_p_ >= 1 || ids.empty()) return ids;

  std::make_heap(ids.begin(), ids.end(), is_worse);
  const double highest = logits[ids.front()];
  const auto weight = [&](int64_t id) { return std::exp(logits[id] - highest); };
  double total = 0, kept_weight = 0;
  for (const int64_t id : ids) total += weight(id);
  std::vector<int64_t> kept;
  while (!ids.empty() && (kept.empty() || kept_weight < top_p_ * total)) {
    std::pop_heap(ids.begin(), ids.end(), is_worse);
    kept.push_back(ids.back());
    kept_weight += weight(ids.back());
    ids.pop_back();
  }
  return kept;
}

std::vector<TokenLogprob> Sampler::likeliest(std::span<const float> logits,
                                             double normaliser) const {
  std::vector<int64_t> ids(num_top_logprobs_ > 0 ? logits.size() : 0);
  std::iota(ids.begin(), ids.end(), int64_t{0});
  std::partial_sort(ids.begin(), ids.begin() + num_top_logprobs_, ids.end(),
                    [logits](int64_t a, int64_t b) {
                      return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
                    });
  std::vector<TokenLogprob> result;
  for (int64_t i = 0; i < num_top_logprobs_; ++i)
    result.push_back({ids[i], static_cast<float>(logits[ids[i]] - normaliser)});
  return result;
}

SampledToken Sampler::sample_row(std::span<float> logits, const SampleRow& row) const {
  SampledToken token;
  for (const int64_t id : scored_) token.scored.push_back(logits[id]);
  if (temperature_ != 1.0f)
    for (float& logit : logits) logit /= temperature_;
  const double normaliser = log_sum_exp(logits);
  if (!std::isfinite(normaliser)) throw_not_finite(row);
  if (num_top_logprobs_ > 0) token.top = likeliest(logits, normaliser);
  std::vector<float> unpenalised;
  for (const int64_t id : row.seen) {
    unpenalised.push_back(logits[id]);
    logits[id] =
        logits[id] < 0 ? logits[id] * repetition_penalty_ : logits[id] / repetition_penalty_;
  }
  for (const int64_t id : banned_) logits[id] = kNever;
  int64_t chosen;
  if (greedy_) {
    chosen = arg_max(logits);
  } else if (top_k_ > 0 || top_p_ < 1) {
    const auto ids = candidates(logits);
    if (ids.empty())
      throw Error("[sampler] no token is left to sample: prompt {}, sample {}, token {}",
                  row.prompt_id, row.sample, row.position);
    chosen = gumbel_arg_max(logits, ids, row.rng, row.position);
  } else {
    chosen = gumbel_arg_max(logits, row.rng, row.position);
  }
  const auto repeated = std::find(row.seen.begin(), row.seen.end(), chosen);
  const float logit =
      repeated == row.seen.end() ? logits[chosen] : unpenalised[repeated - row.seen.begin()];
  token.id = chosen;
  token.logprob = static_cast<float>(logit - normaliser);
  return token;
}

/// [N, H] → [N, V] float on the model's device.
at::Tensor Sampler::logits(const at::Tensor& hidden) const {
  return ops::linear_in_float(hidden, head_VH_).to(at::kFloat);
}

void Sampler::sample_on_host(at::Tensor logits_NV, std::span<const SampleRow> rows,
                             std::span<SampledToken> tokens) const {
  logits_NV = logits_NV.to(at::kCPU).contiguous();
  const int64_t vocab_size = logits_NV.size(1);
  float* data = logits_NV.data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kLogitsPerTask / vocab_size);
  parallel_for(0, logits_NV.size(0), grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      tokens[i] = sample_row({data + i * vocab_size, static_cast<size_t>(vocab_size)}, rows[i]);
  });
}

void Sampler::sample_on_device(const at::Tensor& logits_NV, std::span<const SampleRow> rows,
                               std::span<SampledToken> tokens) const {
  std::vector<int64_t> keys, positions;
  for (const SampleRow& row : rows) {
    keys.push_back(static_cast<int64_t>(row.rng.key()));
    positions.push_back(static_cast<int64_t>(row.position));
  }
  const at::Device device = logits_NV.device();
  const auto sampled = ops::sample_rows(
      logits_NV, banned_bits_, ops::upload(keys, device), ops::upload(positions, device),
      {greedy_ ? 0.0 : static_cast<double>(temperature_), top_k_, top_p_});
  const at::Tensor ids = sampled.ids.to(at::kCPU), logprobs = sampled.logprobs.to(at::kCPU);
  at::Tensor scored;  // [N, scored ids]
  if (!scored_.empty())
    scored = logits_NV.index_select(1, ops::upload(scored_, device)).to(at::kCPU).contiguous();
  for (size_t i = 0; i < rows.size(); ++i) {
    tokens[i] = {ids.const_data_ptr<int64_t>()[i], logprobs.const_data_ptr<float>()[i], {}, {}};
    if (scored.defined()) {
      const float* mine = scored.const_data_ptr<float>() + i * scored_.size();
      tokens[i].scored.assign(mine, mine + scored_.size());
    }
    if (tokens[i].id < 0) throw_not_finite(rows[i]);
  }
}

std::vector<SampledToken> Sampler::sample(const at::Tensor& hidden,
                                          std::span<const SampleRow> rows) const {
  const auto num_rows = static_cast<int64_t>(rows.size());
  const int64_t at_a_time = std::max<int64_t>(1, kLogitsAtATime / head_VH_.size(0));
  std::vector<SampledToken> tokens(rows.size());
  for (int64_t begin = 0; begin < num_rows; begin += at_a_time) {
    const int64_t count = std::min(at_a_time, num_rows - begin);
    const at::Tensor logits_NV =
        logits(count == num_rows ? hidden : hidden.narrow(0, begin, count));
    const auto part = rows.subspan(begin, count);
    const auto results = std::span(tokens).subspan(begin, count);
    // Extras are for annotation and evaluation: on a GPU they take the way over the host.
    const bool plain = repetition_penalty_ == 1 && num_top_logprobs_ == 0;
    if (plain && ops::samples_on_device(logits_NV))
      sample_on_device(logits_NV, part, results);
    else
      sample_on_host(logits_NV, part, results);
  }
  return tokens;
}

}  // namespace caprl
