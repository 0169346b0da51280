#include <math.h>

#include "kernels/math/fast_math.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kPage = kPageSize;
constexpr int kKeyVectors = kPage / kLanes;
constexpr int kTileHeads = 4;

/// One token's queries for a head of keys, and what has come of the pages so far.
struct Running {
  float* q;        // [group, head_dim], scaled
  float* mixed;    // [group, padded_head]: Σ e^(s − highest) v
  float* highest;  // [group] of the scores
  float* total;    // [group]: Σ e^(s − highest)
};

/// Scores of one page's keys for H queries. Two sums of every other product, where there are
/// registers for them: an addition need not wait for the one before.
template <int H, class T>
void score(const float* q, const T* keys, int64_t head_dim, float (*scores)[kPage]) {
  constexpr int kSums = H * kKeyVectors <= 6 ? 2 : 1;
  Lanes sums[kSums][H][kKeyVectors] = {};
  const auto add = [&](int64_t d, Lanes(&to)[H][kKeyVectors]) {
    Lanes key[kKeyVectors];
    for (int v = 0; v < kKeyVectors; ++v) key[v] = load(keys + d * kPage + v * kLanes);
    for (int h = 0; h < H; ++h) {
      const Lanes value = all(q[h * head_dim + d]);
      for (int v = 0; v < kKeyVectors; ++v) add_product(value, key[v], to[h][v]);
    }
  };
  int64_t d = 0;
  for (; d + kSums <= head_dim; d += kSums)
    for (int i = 0; i < kSums; ++i) add(d + i, sums[i]);
  if (d < head_dim) add(d, sums[0]);
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < kKeyVectors; ++v) {
      for (int i = 1; i < kSums; ++i) sums[0][h][v] += sums[i][h][v];
      store(sums[0][h][v], scores[h] + v * kLanes);
    }
}

/// Scores to weights e^(s − highest), the first `count` of them; what came before is scaled to the
/// new highest.
float weigh(float* scores, int64_t count, float& highest, float& total) {
  for (int64_t j = count; j < kPage; ++j) scores[j] = -INFINITY;
  Lanes top = all(highest);
  for (int64_t j = 0; j < kPage; j += kLanes) top = larger(load(scores + j), top);
  const float now = CAPRL_ISA::highest(top);
  for (int64_t j = 0; j < kPage; ++j) scores[j] = kernels::fast_exp(scores[j] - now);
  for (int64_t j = count; j < kPage; ++j) scores[j] = 0;
  Lanes page{};
  for (int64_t j = 0; j < kPage; j += kLanes) page += load(scores + j);
  const float old = highest == -INFINITY ? 0.0f : kernels::fast_exp(highest - now);
  total = total * old + sum(page);
  highest = now;
  return old;
}

/// V vectors of `mix`.
template <int H, int V, class T>
void mix_vectors(const float (*weights)[kPage], const float* old, const T* values, int64_t count,
                 int64_t padded, float* mixed) {
  Lanes sums[H][V];
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) sums[h][v] = load(mixed + h * padded + v * kLanes) * all(old[h]);
  for (int64_t j = 0; j < count; ++j) {
    Lanes value[V];
    for (int v = 0; v < V; ++v) value[v] = load(values + j * padded + v * kLanes);
    for (int h = 0; h < H; ++h) {
      const Lanes weight = all(weights[h][j]);
      for (int v = 0; v < V; ++v) add_product(weight, value[v], sums[h][v]);
    }
  }
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) store(sums[h][v], mixed + h * padded + v * kLanes);
}

/// mixed[h] = mixed[h] · old[h] + Σ_j weights[h, j] values[j], for H queries.
template <int H, class T>
void mix(const float (*weights)[kPage], const float* old, const T* values, int64_t count,
         int64_t padded, float* mixed) {
  int64_t d = 0;
  for (; d + 2 * kLanes <= padded; d += 2 * kLanes)
    mix_vectors<H, 2>(weights, old, values + d, count, padded, mixed + d);
  if (d < padded) mix_vectors<H, 1>(weights, old, values + d, count, padded, mixed + d);
}

template <int H, class T>
void add_page_heads(const Running& token, int64_t head, const T* keys, const T* values,
                    int64_t count, int64_t head_dim, int64_t padded) {
  float scores[H][kPage], old[H];
  score<H>(token.q + head * head_dim, keys, head_dim, scores);
  for (int h = 0; h < H; ++h)
    old[h] = weigh(scores[h], count, token.highest[head + h], token.total[head + h]);
  mix<H>(scores, old, values, count, padded, token.mixed + head * padded);
}

}  // namespace

template <class T>
void attend(const PagedRows<T>& p, const TokenBlock& block, int64_t kv_head, float* scratch) {
  const int64_t group = p.heads / p.kv_heads, D = p.head_dim, padded = padded_head(D);
  const int64_t floats = scratch_floats(group, D);
  const auto running = [&](int64_t t) {
    float* at = scratch + t * floats;
    return Running{at, at + group * D, at + group * (D + padded), at + group * (D + padded + 1)};
  };
  for (int64_t t = 0; t < block.count; ++t) {
    const Running token = running(t);
    const T* q = p.q + (block.first + t) * p.q_stride + kv_head * group * D;
    for (int64_t i = 0; i < group * D; ++i) token.q[i] = scalar(q[i]) * p.scale;
    for (int64_t i = 0; i < group * padded; ++i) token.mixed[i] = 0;
    for (int64_t h = 0; h < group; ++h) {
      token.highest[h] = -INFINITY;
      token.total[h] = 0;
    }
  }
  const auto add_page = [&](int64_t t, int64_t page) {
    const int64_t seen = p.lengths[block.first + t] - page * kPage;
    if (seen <= 0) return;
    const int64_t count = seen < kPage ? seen : kPage;
    const int64_t place = p.tables[block.first + t][page] * p.kv_heads + kv_head;
    const T* keys = p.k_pages + place * D * kPage;
    const T* values = p.v_pages + place * padded * kPage;
    const Running token = running(t);
    int64_t head = 0;
    for (; head + kTileHeads <= group; head += kTileHeads)
      add_page_heads<kTileHeads>(token, head, keys, values, count, D, padded);
    if (group - head == 3) add_page_heads<3>(token, head, keys, values, count, D, padded);
    if (group - head == 2) add_page_heads<2>(token, head, keys, values, count, D, padded);
    if (group - head == 1) add_page_heads<1>(token, head, keys, values, count, D, padded);
  };
  // A shared page is read for all tokens while it is in the cache.
  for (int64_t page = 0; page < block.shared; ++page)
    for (int64_t t = 0; t < block.count; ++t) add_page(t, page);
  for (int64_t t = 0; t < block.count; ++t) {
    const int64_t length = p.lengths[block.first + t];
    for (int64_t page = block.shared; page * kPage < length; ++page) add_page(t, page);
    const Running token = running(t);
    T* out = p.out + ((block.first + t) * p.heads + kv_head * group) * D;
    for (int64_t h = 0; h < group; ++h)
      for (int64_t d = 0; d < D; ++d)
        out[h * D + d] = kernels::from_float<T>(token.mixed[h * padded + d] / token.total[h]);
  }
}

template void attend(const PagedRows<float>&, const TokenBlock&, int64_t, float*);
template void attend(const PagedRows<Bf16>&, const TokenBlock&, int64_t, float*);

}  // namespace caprl::ops::cpu::CAPRL_ISA
