// The sampler by its definition: rows are sorted as a whole; weights, noise and sums are in double
// precision; every kept token's score is computed.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"
#include "kernels/sampler.h"

namespace caprl::kernels {

/// Philox4x32-10, word by word.
inline std::array<uint32_t, 4> philox(uint64_t key, uint64_t high, uint64_t low) {
  const auto half = [](uint64_t x, int i) { return static_cast<uint32_t>(x >> (32 * i)); };
  std::array<uint32_t, 4> c{half(low, 0), half(low, 1), half(high, 0), half(high, 1)};
  uint32_t k0 = half(key, 0), k1 = half(key, 1);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    c = {half(b, 1) ^ c[1] ^ k0, half(b, 0), half(a, 1) ^ c[3] ^ k1, half(a, 0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

inline double noise(uint64_t key, uint64_t position, size_t id) {
  const uint32_t word = philox(key, position, id / 4)[id % 4];
  return -std::log(-std::log1p(-((word >> 1) + 0.5) * 0x1p-31));
}

struct Batch {
  std::vector<std::vector<float>> logits;  // of equal sizes
  std::vector<uint64_t> keys, positions;
  std::vector<size_t> banned;
  SamplerTerms terms;
  size_t padding = 0, offset = 0;  // of rows; of the first row from 16 bytes

  size_t vocab() const { return logits.empty() ? 0 : logits[0].size(); }
  void add(std::vector<float> row, uint64_t key, uint64_t position = 0) {
    logits.push_back(std::move(row));
    keys.push_back(key * 0x9e3779b97f4a7c15ull + 1);
    positions.push_back(position);
  }
};

struct Drawn {
  std::vector<int64_t> ids;
  std::vector<float> logprobs;
};

inline Drawn draw(const Batch& batch) {
  const size_t vocab = batch.vocab(), num_rows = batch.logits.size();
  std::vector<float> logits;
  for (const auto& row : batch.logits) {
    logits.insert(logits.end(), row.begin(), row.end());
    logits.insert(logits.end(), batch.padding, std::nanf(""));
  }
  std::vector<uint32_t> mask((vocab + 31) / 32);
  for (const size_t id : batch.banned) mask[id / 32] |= 1u << (id % 32);
  DeviceBuffer<float> logits_in(logits, batch.offset);
  DeviceBuffer<uint32_t> banned(mask);
  DeviceBuffer<uint64_t> keys(batch.keys), positions(batch.positions);
  DeviceBuffer<int64_t> ids(num_rows);
  DeviceBuffer<float> logprobs(num_rows);
  const bool greedy = batch.terms.temperature == 0;
  sample_rows({.logits = logits_in.get(),
               .num_rows = static_cast<int64_t>(num_rows),
               .vocab = static_cast<int64_t>(vocab),
               .stride = static_cast<int64_t>(vocab + batch.padding),
               .banned = batch.banned.empty() ? nullptr : banned.get(),
               .keys = greedy ? nullptr : keys.get(),
               .positions = greedy ? nullptr : positions.get(),
               .ids = ids.get(),
               .logprobs = logprobs.get()},
              batch.terms, nullptr);
  return {ids.values(), logprobs.values()};
}

/// One row by definition.
struct Reference {
  std::vector<float> x;
  double log_sum = 0;
  std::vector<size_t> ranked;   // tokens that can be sampled, best first
  std::vector<double> score;    // of ranked
  std::vector<double> running;  // weight of the first i of them
  size_t after_top_k = 0;

  Reference(const Batch& batch, size_t row) : x(batch.logits[row]) {
    const SamplerTerms& t = batch.terms;
    if (t.temperature != 0)
      for (float& v : x) v /= static_cast<float>(t.temperature);
    const double highest = *std::max_element(x.begin(), x.end());
    for (const float v : x) log_sum += std::exp(v - highest);
    log_sum = highest + std::log(log_sum);

    const std::set<size_t> banned(batch.banned.begin(), batch.banned.end());
    for (size_t id = 0; id < x.size(); ++id)
      if (!banned.count(id) && x[id] > -std::numeric_limits<float>::infinity())
        ranked.push_back(id);
    std::stable_sort(ranked.begin(), ranked.end(), [&](size_t a, size_t b) { return x[a] > x[b]; });
    running.push_back(0);
    for (const size_t id : ranked) {
      running.push_back(running.back() + std::exp(double{x[id]} - x[ranked[0]]));
      score.push_back(x[id] + noise(batch.keys[row], batch.positions[row], id));
    }
    after_top_k = t.top_k > 0 ? std::min<size_t>(t.top_k, ranked.size()) : ranked.size();
    if (t.temperature == 0) after_top_k = 1;
  }

  size_t kept(double top_p) const {
    if (top_p >= 1) return after_top_k;
    size_t count = 1;
    while (count < after_top_k && running[count] < top_p * running[after_top_k]) ++count;
    return count;
  }
  /// Best among the first `count`.
  size_t winner(size_t count) const {
    return static_cast<size_t>(std::max_element(score.begin(), score.begin() + count) -
                               score.begin());
  }
  double slack(size_t i) const { return 1e-5 + 2.4e-7 * std::abs(x[ranked[i]]); }
};

/// The row's token must be kept and beat all that are kept for sure. Weights may be rounded as the
/// interface says.
inline void expect_right(const Batch& batch, const Drawn& drawn, size_t row) {
  const Reference reference(batch, row);
  const double p = batch.terms.top_p, p_slack = p < 1 ? 3e-6 + 0x1p-40 * batch.vocab() : 0;
  const size_t least = reference.kept(p - p_slack), most = reference.kept(p + p_slack);
  const auto id = static_cast<size_t>(drawn.ids[row]);
  const auto& ranked = reference.ranked;
  const auto at = static_cast<size_t>(std::find(ranked.begin(), ranked.end(), id) - ranked.begin());
  ASSERT_LT(at, most) << "token " << drawn.ids[row] << " is not kept";
  if (batch.terms.temperature != 0) {
    const size_t best = reference.winner(least);
    ASSERT_GE(reference.score[at], reference.score[best] - reference.slack(best))
        << "token " << id << " instead of " << ranked[best];
  }
  const double logprob = reference.x[id] - reference.log_sum;
  ASSERT_NEAR(drawn.logprobs[row], logprob,
              1e-6 + 2e-7 * (std::abs(logprob) + std::abs(reference.log_sum)));
}

inline void expect_right(const Batch& batch) {
  const Drawn drawn = draw(batch);
  for (size_t row = 0; row < batch.logits.size(); ++row) {
    SCOPED_TRACE(testing::Message() << "row " << row << ", V " << batch.vocab() << ", temperature "
                                    << batch.terms.temperature << ", top_k " << batch.terms.top_k
                                    << ", top_p " << batch.terms.top_p);
    expect_right(batch, drawn, row);
  }
}

}  // namespace caprl::kernels
