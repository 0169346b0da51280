#include <math.h>

#include "kernels/math/fast_math.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kPage = kPageSize;
constexpr int64_t kPages = 4;  // that are looked at before what came of others is scaled again
constexpr int64_t kKeys = kPages * kPage;
constexpr int kKeyVectors = kPage / kLanes;
// Pages, heads and vectors of a value whose sums are in registers: 16 of AVX2, 32 of AVX-512.
constexpr int kTilePages = kLanes == 16 ? 4 : 1, kTileHeads = 4;
constexpr int kTileVectors = kLanes == 16 ? 4 : 2;

/// One token's queries for a head of keys, and what has come of the pages so far.
struct Running {
  float* q;        // [group, head_dim], scaled
  float* mixed;    // [group, padded_head]: Σ e^(s − highest) v
  float* highest;  // [group] of the scores
  float* total;    // [group]: Σ e^(s − highest)
};

/// Pages of one head of keys, at most kPages.
template <class T>
struct Pages {
  const T* keys[kPages];    // [head_dim, kPage]
  const T* values[kPages];  // [kPage, padded_head]
};

/// Scores of P pages' keys for H queries, from the first one's place on. Two sums of every other
/// product, where there are registers for them: an addition need not wait for the one before.
/// Meanwhile the `next` keys are fetched.
template <int H, int P, class T>
void score(const float* q, const T* const* keys, const T* const* next, int64_t head_dim,
           int64_t first, float (*scores)[kKeys]) {
  constexpr int kVectors = P * kKeyVectors, kSums = H * kVectors <= 6 ? 2 : 1;
  Lanes sums[kSums][H][kVectors] = {};
  const auto add = [&](int64_t d, Lanes(&to)[H][kVectors]) {
    Lanes key[kVectors];
    for (int v = 0; v < kVectors; ++v)
      key[v] = load(keys[v / kKeyVectors] + d * kPage + v % kKeyVectors * kLanes);
    for (int page = 0; page < P; ++page) fetch(next[page] + d * kPage);
    for (int h = 0; h < H; ++h) {
      const Lanes value = all(q[h * head_dim + d]);
      for (int v = 0; v < kVectors; ++v) add_product(value, key[v], to[h][v]);
    }
  };
  int64_t d = 0;
  for (; d + kSums <= head_dim; d += kSums)
    for (int i = 0; i < kSums; ++i) add(d + i, sums[i]);
  if (d < head_dim) add(d, sums[0]);
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 1; i < kSums; ++i) sums[0][h][v] += sums[i][h][v];
      store(sums[0][h][v], scores[h] + first + v * kLanes);
    }
}

/// Scores to weights e^(s − highest), the first `count` of them; what came before is scaled to the
/// new highest.
float weigh(float* scores, int64_t count, float& highest, float& total) {
  const int64_t end = (count + kLanes - 1) / kLanes * kLanes;
  for (int64_t j = count; j < end; ++j) scores[j] = -INFINITY;
  Lanes top = all(highest);
  for (int64_t j = 0; j < end; j += kLanes) top = larger(load(scores + j), top);
  const float now = CAPRL_ISA::highest(top);
  for (int64_t j = 0; j < end; ++j) scores[j] = kernels::fast_exp(scores[j] - now);
  for (int64_t j = count; j < end; ++j) scores[j] = 0;
  Lanes added{};
  for (int64_t j = 0; j < end; j += kLanes) added += load(scores + j);
  const float old = highest == -INFINITY ? 0.0f : kernels::fast_exp(highest - now);
  total = total * old + sum(added);
  highest = now;
  return old;
}

/// V vectors of `mix`.
template <int H, int V, class T>
void mix_vectors(const float (*weights)[kKeys], const float* old, const Pages<T>& pages,
                 const Pages<T>& next, int64_t count, int64_t padded, int64_t first, float* mixed) {
  Lanes sums[H][V];
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v)
      sums[h][v] = load(mixed + h * padded + first + v * kLanes) * all(old[h]);
  for (int64_t page = 0; page * kPage < count; ++page) {
    const T *values = pages.values[page] + first, *ahead = next.values[page] + first;
    const int64_t left = count - page * kPage, here = left < kPage ? left : kPage;
    for (int64_t j = 0; j < here; ++j) {
      Lanes value[V];
      for (int v = 0; v < V; ++v) {
        value[v] = load(values + j * padded + v * kLanes);
        fetch(ahead + j * padded + v * kLanes);
      }
      for (int h = 0; h < H; ++h) {
        const Lanes weight = all(weights[h][page * kPage + j]);
        for (int v = 0; v < V; ++v) add_product(weight, value[v], sums[h][v]);
      }
    }
  }
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) store(sums[h][v], mixed + h * padded + first + v * kLanes);
}

/// mixed[h] = mixed[h] · old[h] + Σ_j weights[h, j] values[j], for H queries.
template <int H, int V = kTileVectors, class T>
void mix(const float (*weights)[kKeys], const float* old, const Pages<T>& pages,
         const Pages<T>& next, int64_t count, int64_t padded, float* mixed, int64_t first = 0) {
  for (; first + V * kLanes <= padded; first += V * kLanes)
    mix_vectors<H, V>(weights, old, pages, next, count, padded, first, mixed);
  if constexpr (V > 1) {
    if (first < padded) mix<H, V / 2>(weights, old, pages, next, count, padded, mixed, first);
  }
}

/// The first `count` keys of some pages for H of the token's queries.
template <int H, class T>
void add_pages(const Running& token, int64_t head, const Pages<T>& pages, const Pages<T>& next,
               int64_t count, int64_t head_dim, int64_t padded) {
  float scores[H][kKeys], old[H];
  const float* q = token.q + head * head_dim;
  for (int64_t page = 0; page * kPage < count;) {
    const T *const *keys = pages.keys + page, *const *ahead = next.keys + page;
    if ((page + kTilePages - 1) * kPage < count) {
      score<H, kTilePages>(q, keys, ahead, head_dim, page * kPage, scores);
      page += kTilePages;
    } else {
      score<H, 1>(q, keys, ahead, head_dim, page * kPage, scores);
      ++page;
    }
  }
  for (int h = 0; h < H; ++h)
    old[h] = weigh(scores[h], count, token.highest[head + h], token.total[head + h]);
  mix<H>(scores, old, pages, next, count, padded, token.mixed + head * padded);
}

/// The token's queries for a head of keys.
template <class T>
const T* queries(const PagedRows<T>& p, int64_t t, int64_t kv_head, T* turned) {
  const int64_t group = p.heads / p.kv_heads, half = p.head_dim / 2;
  const T* q = p.q + t * p.q_stride + kv_head * group * p.head_dim;
  if (!p.cos) return q;
  TurnRows<T, T> rows;
  rows.heads = group;
  rows.head_dim = p.head_dim;
  rows.x = q;
  rows.cos = p.cos + t * half;
  rows.sin = p.sin + t * half;
  rows.out = turned;
  turn(rows, 0, 1);
  return turned;
}

template <class T>
void begin_token(const PagedRows<T>& p, int64_t t, int64_t kv_head, const Running& token) {
  const int64_t group = p.heads / p.kv_heads, D = p.head_dim;
  const T* q = queries(p, t, kv_head, reinterpret_cast<T*>(token.mixed));
  for (int64_t i = 0; i < group * D; ++i) token.q[i] = scalar(q[i]) * p.scale;
  for (int64_t i = 0; i < group * padded_head(D); ++i) token.mixed[i] = 0;
  for (int64_t h = 0; h < group; ++h) {
    token.highest[h] = -INFINITY;
    token.total[h] = 0;
  }
}

template <class T>
void end_token(const PagedRows<T>& p, int64_t t, int64_t kv_head, const Running& token) {
  const int64_t group = p.heads / p.kv_heads, D = p.head_dim, padded = padded_head(D);
  T* out = p.out + (t * p.heads + kv_head * group) * D;
  for (int64_t h = 0; h < group; ++h)
    for (int64_t d = 0; d < D; ++d)
      out[h * D + d] = kernels::from_float<T>(token.mixed[h * padded + d] / token.total[h]);
}

/// kPages of a token's pages, from this one on, of one head of keys.
struct Place {
  int64_t token, kv_head, page;
};

/// Where a thread probably goes on: with the pages' next head, the token's next pages or the
/// next token.
template <class T>
Place after(const PagedRows<T>& p, const Heads& heads, const Place& at, int64_t end) {
  if (at.kv_head + 1 < heads.last) return {at.token, at.kv_head + 1, at.page};
  if ((at.page + kPages) * kPage < p.lengths[at.token])
    return {at.token, heads.first, at.page + kPages};
  return {at.token + 1 < end ? at.token + 1 : at.token, heads.first, 0};
}

/// Pages behind the token's last one are the last one again.
template <class T>
Pages<T> pages_at(const PagedRows<T>& p, const Place& at) {
  const int64_t last = (p.lengths[at.token] - 1) / kPage;
  Pages<T> pages;
  for (int64_t i = 0; i < kPages; ++i) {
    const int64_t page = at.page + i < last ? at.page + i : last;
    const int64_t place = p.tables[at.token][page] * p.kv_heads + at.kv_head;
    pages.keys[i] = p.k_pages + place * p.head_dim * kPage;
    pages.values[i] = p.v_pages + place * kPage * padded_head(p.head_dim);
  }
  return pages;
}

}  // namespace

template <class T>
void attend(const PagedRows<T>& p, const TokenBlock& block, const Heads& heads, float* scratch) {
  const int64_t group = p.heads / p.kv_heads, D = p.head_dim, padded = padded_head(D);
  const int64_t floats = scratch_floats(group, D), count_heads = heads.last - heads.first;
  const auto running = [&](int64_t t, int64_t head) {
    float* at = scratch + ((t - block.first) * count_heads + head - heads.first) * floats;
    return Running{at, at + group * D, at + group * (D + padded), at + group * (D + padded + 1)};
  };
  const int64_t end = block.first + block.count;
  for (int64_t t = block.first; t < end; ++t)
    for (int64_t h = heads.first; h < heads.last; ++h) begin_token(p, t, h, running(t, h));
  const auto add = [&](const Place& place) {
    const int64_t left = p.lengths[place.token] - place.page * kPage;
    if (left <= 0) return;
    const Place then = after(p, heads, place, end);
    const Pages<T> pages = pages_at(p, place), next = pages_at(p, then);
    const int64_t count = left < kKeys ? left : kKeys;
    const Running token = running(place.token, place.kv_head);
    int64_t head = 0;
    for (; head + kTileHeads <= group; head += kTileHeads)
      add_pages<kTileHeads>(token, head, pages, next, count, D, padded);
    if (group - head == 3) add_pages<3>(token, head, pages, next, count, D, padded);
    if (group - head == 2) add_pages<2>(token, head, pages, next, count, D, padded);
    if (group - head == 1) add_pages<1>(token, head, pages, next, count, D, padded);
  };
  // Shared pages are read for all tokens while they are in the cache.
  const int64_t shared = block.shared / kPages * kPages;
  for (int64_t page = 0; page < shared; page += kPages)
    for (int64_t h = heads.first; h < heads.last; ++h)
      for (int64_t t = block.first; t < end; ++t) add({t, h, page});
  for (int64_t t = block.first; t < end; ++t) {
    for (int64_t page = shared; page * kPage < p.lengths[t]; page += kPages)
      for (int64_t h = heads.first; h < heads.last; ++h) add({t, h, page});
    for (int64_t h = heads.first; h < heads.last; ++h) end_token(p, t, h, running(t, h));
  }
}

template void attend(const PagedRows<float>&, const TokenBlock&, const Heads&, float*);
template void attend(const PagedRows<Bf16>&, const TokenBlock&, const Heads&, float*);

}  // namespace caprl::ops::cpu::CAPRL_ISA
