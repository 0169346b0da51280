// Attention over pages against softmax(scale · q kᵀ) v in fp64, with parts as a scheduler makes
// them: shared by neighbours, cut into segments, of any length.
#include "kernels/paged_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

/// Tokens of which the first `shared` keys are common.
struct Group {
  int shared;
  std::vector<int> lengths;
};
struct Case {
  int head_dim, q_heads, kv_heads;
  std::vector<Group> groups;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  out << c.q_heads << " over " << c.kv_heads << " heads of " << c.head_dim;
  for (const Group& group : c.groups) {
    out << ", " << group.shared << " shared by";
    for (const int length : group.lengths) out << ' ' << length;
  }
  return out;
}

int pages_of(int keys) { return (keys + kAttentionPage - 1) / kAttentionPage; }

class Problem {
 public:
  explicit Problem(const Case& shape) : case_(shape) {
    for (const Group& group : shape.groups) add(group);
    num_pages_ = static_cast<int>(pages_.size()) + 3;  // some that nobody has
    std::vector<int32_t> order(num_pages_);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    for (int32_t& page : pages_) page = order[page];
    for (AttentionPart& part : parts_)
      for (int32_t& page : part.pages) page = order[page];
    q_ = random_values<Bf16>(tokens_.size() * shape.q_heads * shape.head_dim, 1);
    const size_t size = size_t(num_pages_) * kAttentionPage * shape.kv_heads * shape.head_dim;
    const std::vector<Bf16> k = random_values<Bf16>(size, 2), v = random_values<Bf16>(size, 3);
    // Places without a key are NaN.
    k_.assign(size, Bf16{0xffff});
    v_ = k_;
    for (const auto& keys : tokens_)
      for (const int place : keys) {
        const size_t from = row(place, 0), count = size_t(shape.kv_heads) * shape.head_dim;
        std::copy_n(&k[from], count, &k_[from]);
        std::copy_n(&v[from], count, &v_[from]);
      }
  }

  std::vector<double> run() {
    DeviceBuffer<Bf16> q(q_), k(k_), v(v_), out(q_.size());
    DeviceBuffer<AttentionPart> parts(parts_);
    DeviceBuffer<int32_t> lengths(lengths_), slots(slots_);
    DeviceBuffer<float> partial(
        paged_attention_workspace(slots_.back(), case_.q_heads, case_.head_dim));
    paged_attention({.q = q.get(),
                     .k_pages = k.get(),
                     .v_pages = v.get(),
                     .out = out.get(),
                     .num_tokens = static_cast<int64_t>(lengths_.size()),
                     .num_q_heads = case_.q_heads,
                     .num_kv_heads = case_.kv_heads,
                     .head_dim = case_.head_dim,
                     .scale = scale(),
                     .parts = parts.get(),
                     .lengths = lengths.get(),
                     .slots = slots.get(),
                     .num_parts = static_cast<int64_t>(parts_.size()),
                     .num_slots = slots_.back(),
                     .partial = partial.get()},
                    nullptr);
    return to_double(out.values());
  }

  /// The outputs and, for tolerances, Σ weight · |value|.
  std::pair<std::vector<double>, std::vector<double>> exact() const {
    std::vector<double> out(q_.size()), size(q_.size());
    const int D = case_.head_dim;
    for (size_t token = 0; token < tokens_.size(); ++token)
      for (int head = 0; head < case_.q_heads; ++head) {
        const size_t begin = (token * case_.q_heads + head) * D;
        const int kv_head = head / (case_.q_heads / case_.kv_heads);
        std::vector<double> weights;
        for (const int place : tokens_[token]) {
          double dot = 0;
          for (int d = 0; d < D; ++d)
            dot += double(to_float(q_[begin + d])) * to_float(k_[row(place, kv_head) + d]);
          weights.push_back(dot * scale());
        }
        const double top = *std::max_element(weights.begin(), weights.end());
        double sum = 0;
        for (double& weight : weights) sum += weight = std::exp(weight - top);
        for (size_t i = 0; i < weights.size(); ++i)
          for (int d = 0; d < D; ++d) {
            const double value = to_float(v_[row(tokens_[token][i], kv_head) + d]);
            out[begin + d] += weights[i] / sum * value;
            size[begin + d] += weights[i] / sum * std::abs(value);
          }
      }
    return {out, size};
  }

 private:
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(case_.head_dim)); }
  size_t row(int place, int kv_head) const {
    const int page = pages_.at(place / kAttentionPage);
    return ((size_t(page) * kAttentionPage + place % kAttentionPage) * case_.kv_heads + kv_head) *
           case_.head_dim;
  }

  /// Keys `first` … `end` of tokens `first_token` …, whose pages begin at `first_page`.
  int cut(int first_token, int num_tokens, int first, int end, int first_page, int index) {
    for (int key = first; key < end; key += kAttentionSegment) {
      AttentionPart& part = parts_.emplace_back();
      part = {first_token, num_tokens, key, std::min(kAttentionSegment, end - key), index++, {}};
      std::iota(part.pages, part.pages + pages_of(part.num_keys),
                first_page + (key - first) / kAttentionPage);
    }
    return index;
  }

  void add(const Group& group) {
    const int first_token = static_cast<int>(tokens_.size());
    const int count = static_cast<int>(group.lengths.size());
    const int longest = *std::max_element(group.lengths.begin(), group.lengths.end());
    const int shared = std::min(group.shared, longest);
    const auto take_pages = [&](int keys) {  // → the first of them
      const int first = static_cast<int>(pages_.size());
      for (int i = 0; i < pages_of(keys); ++i) pages_.push_back(first + i);
      return first;
    };
    const int common = take_pages(shared);
    int parts = 0;
    const int most = std::max(1, kAttentionRows / (case_.q_heads / case_.kv_heads));
    for (int i = 0; i < count; i += most)
      parts = cut(first_token + i, std::min(most, count - i), 0, shared, common, 0);
    for (int i = 0; i < count; ++i) {
      const int length = group.lengths[i];
      std::vector<int> keys;
      for (int key = 0; key < std::min(length, shared); ++key)
        keys.push_back(common * kAttentionPage + key);
      int mine = parts;
      if (length > shared) {
        const int own = take_pages(length - shared);
        for (int key = shared; key < length; ++key)
          keys.push_back(own * kAttentionPage + key - shared);
        mine = cut(first_token + i, 1, shared, length, own, parts);
      }
      tokens_.push_back(keys);
      lengths_.push_back(length);
      slots_.push_back(slots_.back() + mine);
    }
  }

  Case case_;
  int num_pages_ = 0;
  std::vector<AttentionPart> parts_;
  std::vector<int32_t> pages_, lengths_, slots_{0};
  std::vector<std::vector<int>> tokens_;  // places of the keys that each sees
  std::vector<Bf16> q_, k_, v_;
};

void check(const Case& shape) {
  SCOPED_TRACE(testing::Message() << shape);
  Problem problem(shape);
  const std::vector<double> got = problem.run();
  const auto [expected, size] = problem.exact();
  // Weights and the result are rounded to bfloat16; twice the first, for sums of many.
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::abs(got[i] - expected[i]), 0x1p-8 * (size[i] + std::abs(expected[i])) + 1e-6)
        << "value " << i << ": expected " << expected[i] << ", got " << got[i];
}

TEST(PagedAttention, SingleTokens) {
  check({64, 1, 1, {{0, {1}}}});
  check({64, 2, 2, {{0, {17}}, {0, {16}}, {0, {3}}}});
  check({64, 9, 3, {{0, {40}}, {0, {65}}}});
  check({128, 8, 1, {{0, {70}}}});
  check({128, 4, 2, {{0, {64}}, {0, {5}}}});
}

TEST(PagedAttention, SharedKeysThenOwnOnes) {
  check({64, 8, 1, {{32, {33, 50, 40, 32, 36, 48, 34, 35}}}});    // 64 rows
  check({64, 4, 2, {{16, {17, 30, 20}}, {48, {49, 49}}}});        // 6 and 4 rows
  check({64, 3, 1, {{16, {17, 18, 19, 20, 21, 22, 23, 24}}}});    // 24 rows
  check({128, 8, 2, {{80, {81, 97, 82, 90, 95}}}});               // 20 rows
  check({128, 16, 1, {{16, {20, 21, 22, 23, 24, 25, 26, 27}}}});  // more tokens than a part takes
}

TEST(PagedAttention, PartsMayEndAnywhereInATile) {
  for (const int shared : {16, 48, 80, 96, 112, 176}) {
    const int l = shared;
    check({64, 8, 1, {{shared, {l + 1, l + 17, l, l + 40, l + 70, l + 2, l + 3, l + 33}}}});
    check({128, 8, 2, {{shared, {l + 1, l + 5, l, l + 40}}, {shared, {l + 60, l + 2}}}});
  }
}

TEST(PagedAttention, ATokenMaySeeLessThanItsPart) {
  check({64, 4, 1, {{64, {10, 11, 12, 13, 64}}}});  // as in a stretch of a prompt
  check({64, 1, 1, {{80, {1, 17, 80, 64}}}});
}

TEST(PagedAttention, LongSequencesAreCut) {
  check({64, 2, 1, {{0, {kAttentionSegment}}, {0, {kAttentionSegment + 1}}}});
  check({64, 4, 1, {{2 * kAttentionSegment, {2 * kAttentionSegment + 9, 2 * kAttentionSegment}}}});
}

TEST(PagedAttention, NoTokens) { paged_attention({.head_dim = 64}, nullptr); }

}  // namespace
}  // namespace caprl::kernels
