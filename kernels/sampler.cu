// Sampling: one block a row.
//
// Pass 1 reads the row for log Σ eˣ (online: arXiv 1805.02867) and the likeliest token; a greedy
// row ends there. The draw reads it once more for the arg-max of x + Gumbel noise (Gumbel 1954;
// Maddison et al., NeurIPS 2014). With filters, sampler_cut.h reads it twice to find what is kept,
// more often where both filters keep much or tokens crowd together; where what is kept fits a list,
// the draw needs no read.
//
// Rows of 152k floats, as many as there are multiprocessors, exceed L2, so a read of the row is one
// from memory: at 4.3 TB/s, 19 µs for 132 rows. A thread has 64 bytes in flight in pass 1 (64 KB a
// block of 1024) and 32 later, where arithmetic counts for more. Noise for every token would be
// three times the work that hides behind a read: about 20 operations a token for Philox, 55 for two
// logarithms and a division. Noise is bounded, so tokens more than that bound below the best sum so
// far, which begins with the likeliest token's, need no Philox; and as large noise needs small
// random words, one exponential tells which words are worth their logarithms: a few a row, unless
// the row is flat.
#include "kernels/sampler.h"

#include <algorithm>

#include "kernels/math/philox.h"
#include "kernels/sampler_cut.h"

namespace caprl::kernels {
namespace {

constexpr int kMostThreads = 1024;
constexpr int kTokensPerThread = 16;  // at least

struct FloatMax {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }  // passes NaN over
};

struct Summary {
  double log_sum;  // ln Σ eˣ, banned tokens included; NaN if some x is NaN or +∞, or all are −∞
  uint64_t likeliest;  // rank of the best token allowed; 0 if there is none
};

// Four exponentials are added in single precision, the sums of four in double: fewer conversions
// than the multiprocessor makes while the logits come in.
__device__ Summary summarise(const TokenRow& row) {
  float highest = kNever, reference = -FLT_MAX;  // the highest so far, and the same but finite
  double sum = 0;                                // of e^(x − reference)
  float best = kNever;
  int best_id = 0;
  for_each_tokens<4>(row, [&](Tokens& tokens) {
    const float top = tokens.highest();
    if (top > highest) {
      sum *= expf(reference - top);
      highest = reference = top;
    }
    sum += (expf(tokens.x[0] - reference) + expf(tokens.x[1] - reference)) +
           (expf(tokens.x[2] - reference) + expf(tokens.x[3] - reference));
    tokens.drop_banned(row.banned);
    const float top_allowed = tokens.highest();
    if (!(top_allowed > best)) return;
    best = top_allowed;
    for (int i = 3; i >= 0; --i)
      if (tokens.x[i] == best) best_id = tokens.first + i;
  });
  const float block_highest = block_reduce(highest, FloatMax{}, kNever);
  // Where all are −∞, 0 · ∞ makes it NaN.
  const double total = block_reduce(sum * expf(reference - block_highest), Add{}, 0.0);
  const uint64_t own = best > kNever ? rank_of(best, best_id) : 0;
  return {block_highest + log(total), block_reduce(own, Max{}, uint64_t{0})};
}

/// False only if x + gumbel(word) is below `score`: noise ≥ t takes −ln(1 − u) ≤ e^−t, so u ≤ e^−t.
/// The slack covers the rounding of everything.
__device__ bool may_reach(float score, float x, uint32_t word) {
  const float slack = 1e-3f + 1e-6f * fabsf(x);
  const float u = static_cast<float>(word >> 1) * 0x1p-31f;
  return u <= expf(fminf(x - score + slack, 0.0f));
}

/// values[i] of an array in registers, which have no addresses.
template <class T>
__device__ T pick(const T (&values)[4], int i) {
  const T low = i == 0 ? values[0] : values[1], high = i == 2 ? values[2] : values[3];
  return i < 2 ? low : high;
}

/// The best x + noise that a thread has seen.
struct Best {
  uint64_t key, position;  // of the noise
  float score = kNever;
  uint64_t rank = 0;

  __device__ PhiloxBlock words(int id) const {
    return philox_block(key, position, static_cast<uint64_t>(id / 4));
  }
  __device__ void offer(float x, int id, uint32_t word) {
    const float sum = x + gumbel(word);
    const uint64_t other = rank_of(sum, id);
    if (other <= rank) return;
    score = sum;
    rank = other;
  }
  __device__ void offer(float x, int id) { offer(x, id, pick(words(id).words, id % 4)); }
};

/// Offers every token of the row that `keeps` lets through.
template <class Keeps>
__device__ void offer_row(const TokenRow& row, Keeps keeps, Best& best) {
  for_each_allowed(row, [&](const Tokens& tokens) {
    if (tokens.highest() + kMaxGumbel < best.score) return;
    const PhiloxBlock block = best.words(tokens.first);
    unsigned worthy = 0;
    for (int i = 0; i < 4; ++i)
      worthy |= (may_reach(best.score, tokens.x[i], block.words[i]) ? 1u : 0u) << i;
    for (; worthy != 0; worthy &= worthy - 1) {
      const int i = __ffs(static_cast<int>(worthy)) - 1;
      const float x = pick(tokens.x, i);
      if (keeps(rank_of(x, tokens.first + i)))
        best.offer(x, tokens.first + i, pick(block.words, i));
    }
  });
}

enum class Draw { kGreedy, kUnfiltered, kFiltered };

__device__ Best first_offer(const SamplerRows& rows, uint64_t likeliest) {
  Best best{rows.keys[blockIdx.x], rows.positions[blockIdx.x]};
  best.offer(x_of_rank(likeliest), id_of_rank(likeliest));
  return best;
}

template <Draw kDraw>
__device__ uint64_t choose(const TokenRow& row, uint64_t likeliest, const SamplerRows& rows,
                           const SamplerTerms& terms) {
  if constexpr (kDraw == Draw::kGreedy) {
    return likeliest;
  } else if constexpr (kDraw == Draw::kUnfiltered) {
    Best best = first_offer(rows, likeliest);
    offer_row(
        row, [](uint64_t) { return true; }, best);
    return block_reduce(best.rank, Max{}, uint64_t{0});
  } else {
    __shared__ CutMemory memory;
    Cut cut(row, likeliest, memory);
    if (terms.top_k > 0) cut.keep_top_k(terms.top_k);
    if (terms.top_p < 1) cut.keep_top_p(terms.top_p);
    Best best = first_offer(rows, likeliest);
    if (cut.is_listed())
      cut.for_each_listed([&](uint64_t rank) { best.offer(x_of_rank(rank), id_of_rank(rank)); });
    else
      offer_row(
          row, [&](uint64_t rank) { return cut.keeps(rank); }, best);
    return block_reduce(best.rank, Max{}, uint64_t{0});
  }
}

template <Draw kDraw>
__global__ void __launch_bounds__(kMostThreads)
    sampler_kernel(SamplerRows rows, SamplerTerms terms, bool wide) {
  const TokenRow row{rows.logits + static_cast<int64_t>(blockIdx.x) * rows.stride, rows.banned,
                     static_cast<int>(rows.vocab),
                     kDraw == Draw::kGreedy ? 1.0f : static_cast<float>(terms.temperature), wide};
  const Summary summary = summarise(row);
  __shared__ double log_sum;  // of thread 0 alone, which has no register for it meanwhile
  if (threadIdx.x == 0) log_sum = summary.log_sum;
  int id = -1;
  if (summary.log_sum - summary.log_sum == 0 && summary.likeliest != 0)
    id = id_of_rank(choose<kDraw>(row, summary.likeliest, rows, terms));
  if (threadIdx.x != 0) return;
  rows.ids[blockIdx.x] = id;
  rows.logprobs[blockIdx.x] =
      id < 0 ? NAN : static_cast<float>(row.scaled(row.logits[id]) - log_sum);
}

}  // namespace

void sample_rows(const SamplerRows& rows, const SamplerTerms& terms, Stream stream) {
  const auto kernel = terms.temperature == 0               ? sampler_kernel<Draw::kGreedy>
                      : terms.top_k > 0 || terms.top_p < 1 ? sampler_kernel<Draw::kFiltered>
                                                           : sampler_kernel<Draw::kUnfiltered>;
  const bool wide = aligned16(rows.logits) && rows.stride % Pack<float>::kSize == 0;
  const int64_t warps = (rows.vocab + kTokensPerThread * kWarp - 1) / (kTokensPerThread * kWarp);
  const auto threads = static_cast<int>(std::clamp<int64_t>(warps * kWarp, kWarp, kMostThreads));
  launch(kernel, dim3(static_cast<unsigned>(rows.num_rows)), threads, 0, stream, rows, terms, wide);
}

}  // namespace caprl::kernels
