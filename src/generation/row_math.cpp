#include "row_math.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "for_each_isa.h"
#include "kernels/math/fast_math.h"
#include "noise.h"

namespace caprl {
namespace {

using kernels::fast_exp, kernels::kMaxGumbel;

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;

int64_t first_of(std::span<const float> values, float value) {
  return std::find(values.begin(), values.end(), value) - values.begin();
}

/// The best score so far. Equal scores go to the lower id, whatever the order of the scan.
struct Best {
  float score = kNever;
  int64_t id = 0;
  void offer(float other_score, int64_t other_id) {
    if (other_score > score || (other_score == score && other_id < id))
      *this = {other_score, other_id};
  }
};

// Of internal functions alone: Clang ignores target_clones where a header declares the function.
CAPRL_FOR_EACH_ISA float highest_by_lanes(std::span<const float> logits) {
  std::array<float, kLanes> highest;
  highest.fill(kNever);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      highest[lane] = logits[i + lane] > highest[lane] ? logits[i + lane] : highest[lane];
  for (; i < logits.size(); ++i) highest[0] = std::max(highest[0], logits[i]);
  return *std::max_element(highest.begin(), highest.end());
}

// Sums of short runs in single precision, of the runs in double.
CAPRL_FOR_EACH_ISA double sum_of_exponentials(std::span<const float> logits, float highest) {
  constexpr size_t kRun = 1024;
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kRun) {
    const auto run = logits.subspan(begin, std::min(kRun, logits.size() - begin));
    std::array<float, kLanes> sums{};
    size_t i = 0;
    for (; i + kLanes <= run.size(); i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += fast_exp(run[i + lane] - highest);
    for (; i < run.size(); ++i) sums[0] += fast_exp(run[i] - highest);
    for (const float sum : sums) total += sum;
  }
  return total;
}

}  // namespace

float highest_of(std::span<const float> logits) { return highest_by_lanes(logits); }

int64_t arg_max(std::span<const float> logits) { return first_of(logits, highest_of(logits)); }

double log_sum_exp(std::span<const float> logits) {
  const float highest = highest_of(logits);
  return highest + std::log(sum_of_exponentials(logits, highest));
}

// Blocks that cannot win any more need no noise, which is bounded, in general and by a block's
// lowest word; beginning with the highest logit, these are most blocks of a trained model's row.
int64_t gumbel_arg_max(std::span<const float> logits, const CounterRng& rng, uint64_t position) {
  const int64_t likeliest = arg_max(logits);
  Best best{logits[likeliest] + noise(rng, position, likeliest), likeliest};
  for (size_t begin = 0; begin < logits.size(); begin += kNoiseBlock) {
    const auto block = logits.subspan(begin, std::min(kNoiseBlock, logits.size() - begin));
    const float highest = highest_of(block);
    if (highest + kMaxGumbel < best.score) continue;
    const NoiseWords words(rng, position, begin);
    if (highest + words.upper_bound() < best.score) continue;
    std::array<float, kNoiseBlock> scores;
    scores.fill(kNever);
    std::copy(block.begin(), block.end(), scores.begin());
    words.add_to(scores);
    if (const float score = highest_of(scores); score >= best.score)
      best.offer(score, static_cast<int64_t>(begin) + first_of(scores, score));
  }
  return best.id;
}

int64_t gumbel_arg_max(std::span<const float> logits, std::span<const int64_t> ids,
                       const CounterRng& rng, uint64_t position) {
  Best best;
  for (const int64_t id : ids) best.offer(logits[id] + noise(rng, position, id), id);
  return best.id;
}

}  // namespace caprl
