#include "row_math.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/math/fast_math.h"

namespace caprl {
namespace {

using kernels::fast_exp, kernels::gumbel, kernels::kMaxGumbel;

// Built for several instruction sets, of which the loader chooses.
#ifdef __x86_64__
#define CAPRL_FOR_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CAPRL_FOR_EACH_ISA
#endif

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr size_t kBlock = 16;  // tokens handled together: four Philox blocks

float noise(const CounterRng& rng, uint64_t position, int64_t id) {
  const auto token = static_cast<uint64_t>(id);
  return gumbel(rng.block(position, token / 4)[token % 4]);
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

std::array<float, kBlock> block_noise(const CounterRng& rng, uint64_t position, size_t first_id) {
  std::array<uint32_t, kBlock> words;
  for (size_t i = 0; i < kBlock; i += 4) {
    const auto four = rng.block(position, (first_id + i) / 4);
    std::copy(four.begin(), four.end(), words.begin() + i);
  }
  std::array<float, kBlock> result;
  for (size_t i = 0; i < kBlock; ++i) result[i] = gumbel(words[i]);
  return result;
}

}  // namespace

CAPRL_FOR_EACH_ISA float highest_of(std::span<const float> logits) {
  std::array<float, kBlock> highest;
  highest.fill(kNever);
  size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock)
    for (size_t lane = 0; lane < kBlock; ++lane)
      highest[lane] = logits[i + lane] > highest[lane] ? logits[i + lane] : highest[lane];
  for (; i < logits.size(); ++i) highest[0] = std::max(highest[0], logits[i]);
  return *std::max_element(highest.begin(), highest.end());
}

int64_t arg_max(std::span<const float> logits) {
  return std::find(logits.begin(), logits.end(), highest_of(logits)) - logits.begin();
}

// Sums of short runs in single precision, of the runs in double.
CAPRL_FOR_EACH_ISA double log_sum_exp(std::span<const float> logits) {
  constexpr size_t kRun = 1024;
  const float highest = highest_of(logits);
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kRun) {
    const auto run = logits.subspan(begin, std::min(kRun, logits.size() - begin));
    std::array<float, kBlock> sums{};
    size_t i = 0;
    for (; i + kBlock <= run.size(); i += kBlock)
      for (size_t lane = 0; lane < kBlock; ++lane) sums[lane] += fast_exp(run[i + lane] - highest);
    for (; i < run.size(); ++i) sums[0] += fast_exp(run[i] - highest);
    for (const float sum : sums) total += sum;
  }
  return highest + std::log(total);
}

// Blocks that cannot win any more need no noise, which is bounded; beginning with the highest
// logit, these are most blocks of a trained model's row.
int64_t gumbel_arg_max(std::span<const float> logits, const CounterRng& rng, uint64_t position) {
  const int64_t likeliest = arg_max(logits);
  Best best{logits[likeliest] + noise(rng, position, likeliest), likeliest};
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    if (highest_of(block) + kMaxGumbel < best.score) continue;
    const auto added = block_noise(rng, position, begin);
    for (size_t i = 0; i < block.size(); ++i)
      best.offer(block[i] + added[i], static_cast<int64_t>(begin + i));
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
