// Log-probabilities, entropy, policy loss and its gradient from rows of logits: one block a row.
//
// Pass 1 reads the row once (online_softmax.h). From its sums follow the log-probability of the
// target, the entropy and the loss of the token, and with them every logit's gradient is
// e · (A·d + B), which pass 2 writes in the place of the logits.
//
// A row of 152k logits exceeds shared memory, but not by much: pass 1 keeps the row's first part
// there and runs from the end of the row to its beginning, so that pass 2, running forwards, finds
// the rest where L2 still has it. Memory traffic is then one read and one write of the row.
//
// Bf16 gradients over float logits: gradient j lies over logit j/2, another thread's. Both passes
// go through the row in sweeps of S logits, and the gradients of sweep k reach no further than
// logit (k+1)·S/2. So once everyone has read the sweeps up to b, which a barrier between the reads
// and the writes of sweep b establishes, writing is safe up to sweep 2b+1: barriers at sweeps 0, 2,
// 6, 14… suffice, and none while those logits are in shared memory.
#include "kernels/policy_rows.h"

#include <algorithm>

#include "kernels/online_softmax.h"

namespace caprl::kernels {
namespace {

constexpr int kMostThreads = 1024;
// Of a row, in shared memory. As much again is left to L1, through which the loads come.
constexpr int kCacheBytes = 128 * 1024;
// Shorter rows share a multiprocessor by twos and more. Longer ones have it to themselves: twice as
// many at once would not stay in L2.
constexpr int kShortRowBytes = 96 * 1024, kShortRowThreads = 512;

template <class T>
__device__ Row<T> row_of(const PolicyRows<T>& rows) {
  return row_of(rows.logits + static_cast<int64_t>(blockIdx.x) * rows.stride,
                static_cast<int>(rows.vocab));
}

template <class T, bool kEntropy>
__device__ void write_statistics(const PolicyRows<T>& rows, float logprob,
                                 const Sums<kEntropy>& sums) {
  if (threadIdx.x != 0) return;
  if (rows.logprobs) rows.logprobs[blockIdx.x] = logprob;
  if (kEntropy && rows.entropy) rows.entropy[blockIdx.x] = sums.entropy();
}

template <class Logit, bool kEntropy>
__global__ void __launch_bounds__(kMostThreads) forward_kernel(PolicyRows<Logit> rows) {
  const Row<Logit> row = row_of(rows);
  const float target = to_float(row.values[rows.targets[blockIdx.x]]);
  const auto sums =
      sums_of<kEntropy>(row, edge_of(row), rows.temperature, Cache<Logit>{nullptr, 0});
  write_statistics(rows, sums.logprob(target, rows.temperature), sums);
}

/// A row's scalars, loaded before pass 1 so that nobody waits for them.
struct TokenInput {
  float weight, advantage, old, reference;

  __device__ explicit TokenInput(const PolicyRowTerms& terms)
      : weight(terms.weights[blockIdx.x]),
        advantage(terms.advantages[blockIdx.x]),
        old(terms.old_logprobs ? terms.old_logprobs[blockIdx.x] : 0),
        reference(terms.reference_logprobs ? terms.reference_logprobs[blockIdx.x] : 0) {}
};

/// What the loss of a row hands to its gradient: d loss / d logp and the weight of the entropy.
struct Coefficients {
  float target, bonus;
  __device__ bool are_zero() const { return target == 0 && bonus == 0; }
};

template <bool kEntropy>
__device__ Coefficients token_loss(const PolicyRowTerms& terms, const TokenInput& input,
                                   float logprob, const Sums<kEntropy>& sums) {
  TokenLoss<float> token{};
  token.ratio = 1;
  float bonus = 0, loss = 0;
  if (input.weight != 0) {  // else whatever stands in the other inputs, NaN included
    token = policy_token_loss(logprob, terms.old_logprobs ? input.old : logprob,
                              terms.reference_logprobs ? input.reference : logprob, input.advantage,
                              terms.terms);
    loss = input.weight * token.loss;
    bonus = input.weight * terms.entropy_coeff;
    if (bonus != 0) loss -= bonus * sums.entropy();
  }
  if (threadIdx.x == 0) {
    terms.loss[blockIdx.x] = loss;
    terms.ratio[blockIdx.x] = token.ratio;
    terms.kl[blockIdx.x] = token.kl;
    terms.clipped[blockIdx.x] = token.clipped;
  }
  return {input.weight * token.d_logp, bonus};
}

/// d loss / d logit of a logit that is not the target: with p = e / Σ e,
/// [−c·p + bonus · p (log p + H)] / temperature, where log p + H = ln 2 · (d − mean of d).
template <bool kEntropy>
struct Slope {
  float max, scale, linear, constant;

  __device__ Slope(const Sums<kEntropy>& sums, Coefficients c, float temperature)
      : max(sums.max),
        scale(sums.scale),
        linear(kEntropy ? c.bonus / temperature * kLn2 / sums.sum : 0),
        constant(-c.target / temperature / sums.sum) {
    if (kEntropy) constant -= linear * sums.mean_exponent();
  }
  __device__ float operator()(float logit) const {
    const float d = (logit - max) * scale, e = exp2f(d);
    return e * (kEntropy ? fmaf(linear, fmaxf(d, kNoExponent), constant) : constant);
  }
};

/// Gradients of the logits' own size lie on their 16-byte boundaries, smaller ones perhaps not.
template <class T, int kSize>
__device__ void store_words(T* to, const Words<T, kSize>& values) {
  constexpr bool kAligned = sizeof(values) == 16;
  if (kAligned || reinterpret_cast<uintptr_t>(to) % sizeof(values) == 0) {
    *reinterpret_cast<Words<T, kSize>*>(to) = values;
  } else {
    for (int i = 0; i < kSize; ++i) to[i] = values[i];
  }
}

/// Pass 2, but for the edges and the target.
template <class Gradient, class Logit, bool kEntropy>
__device__ void write_packs(const Row<Logit>& row, const Cache<Logit>& cache,
                            const Slope<kEntropy>& slope) {
  constexpr int kPack = Row<Logit>::kPack;
  using Out = Words<Gradient, kPack>;
  Gradient* gradients = reinterpret_cast<Gradient*>(row.values);
  int num_read = cache.num_sweeps;  // sweeps of which nobody needs the logits in the row
  const int num_sweeps = row.num_sweeps();
  for (int sweep = 0; sweep < num_sweeps; ++sweep) {
    Part<Logit> part;
    if (sweep < cache.num_sweeps)
      part.recall(row, sweep, cache);
    else
      part.load(row, sweep);
    Out out[kInFlight];
    for (int i = 0; i < kInFlight; ++i)
      for (int word = 0; word < kPack / Out::kPerWord; ++word) {
        float values[Out::kPerWord];
        for (int k = 0; k < Out::kPerWord; ++k)
          values[k] = slope(to_float(part.packs[i][word * Out::kPerWord + k]));
        out[i].set_word(word, values);
      }
    if (sizeof(Gradient) < sizeof(Logit) && sweep + 1 > 2 * num_read) {
      __syncthreads();
      num_read = sweep + 1;
    }
    for (int i = 0; i < kInFlight; ++i)
      if (pack_of(sweep, i) < row.num_packs)
        store_words(gradients + row.begin_of(pack_of(sweep, i)), out[i]);
  }
}

template <class Gradient, class Logit>
__device__ void write_zeros(const Row<Logit>& row) {
  Gradient* gradients = reinterpret_cast<Gradient*>(row.values);
  const int thread = static_cast<int>(threadIdx.x), num_threads = static_cast<int>(blockDim.x);
  for (int pack = thread; pack < row.num_packs; pack += num_threads)
    store_words(gradients + row.begin_of(pack), Words<Gradient, Row<Logit>::kPack>{});
  if (thread < row.num_edges) gradients[row.edge(thread)] = Gradient{};
}

template <class Logit, class Gradient, bool kEntropy>
__global__ void __launch_bounds__(kMostThreads)
    gradient_kernel(PolicyRows<Logit> rows, PolicyRowTerms terms, int cached_sweeps) {
  CAPRL_DYNAMIC_SHARED(Words<Logit>, cache_packs);
  const Cache<Logit> cache{cache_packs, cached_sweeps};
  const Row<Logit> row = row_of(rows);
  const int target = static_cast<int>(rows.targets[blockIdx.x]);
  const float target_logit = to_float(row.values[target]), edge = edge_of(row);
  const TokenInput input(terms);

  const auto sums = sums_of<kEntropy>(row, edge, rows.temperature, cache);
  const float logprob = sums.logprob(target_logit, rows.temperature);
  write_statistics(rows, logprob, sums);
  const Coefficients c = token_loss(terms, input, logprob, sums);
  if (!terms.with_gradient) return;
  if (c.are_zero()) return write_zeros<Gradient>(row);

  const Slope<kEntropy> slope(sums, c, rows.temperature);
  write_packs<Gradient>(row, cache, slope);
  __syncthreads();  // all logits have been read, all packs written
  Gradient* gradients = reinterpret_cast<Gradient*>(row.values);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < row.num_edges && row.edge(thread) != target)
    gradients[row.edge(thread)] = from_float<Gradient>(slope(edge));
  if (thread == 0)
    gradients[target] = from_float<Gradient>(slope(target_logit) + c.target / rows.temperature);
}

/// Both launchers take the same, so that they add up alike and agree to the bit.
template <class Logit>
struct Geometry {
  int threads, cached_sweeps;
  size_t cache_bytes;

  explicit Geometry(int64_t vocab) {
    const int64_t packs = vocab / Pack<Logit>::kSize, cache_packs = kCacheBytes / 16;
    const int64_t warps = (packs + kInFlight * kWarp - 1) / (kInFlight * kWarp);
    const int most = packs <= kShortRowBytes / 16 ? kShortRowThreads : kMostThreads;
    threads = static_cast<int>(std::clamp<int64_t>(warps * kWarp, kWarp, most));
    const int64_t sweep = int64_t{kInFlight} * threads;
    cached_sweeps = static_cast<int>(std::min(packs + sweep - 1, cache_packs) / sweep);
    cache_bytes = static_cast<size_t>(std::min(packs, cached_sweeps * sweep)) * 16;
  }
};

}  // namespace

template <class Logit>
void policy_rows_forward(const PolicyRows<Logit>& rows, Stream stream) {
  const Geometry<Logit> geometry(rows.vocab);
  const auto kernel = rows.entropy ? forward_kernel<Logit, true> : forward_kernel<Logit, false>;
  launch(kernel, dim3(static_cast<unsigned>(rows.num_rows)), geometry.threads, 0, stream, rows);
}

template <class Logit, class Gradient>
void policy_rows_gradient(const PolicyRows<Logit>& rows, const PolicyRowTerms& terms,
                          Stream stream) {
  const Geometry<Logit> geometry(rows.vocab);
  const auto kernel = rows.entropy || terms.entropy_coeff != 0
                          ? gradient_kernel<Logit, Gradient, true>
                          : gradient_kernel<Logit, Gradient, false>;
  launch(kernel, dim3(static_cast<unsigned>(rows.num_rows)), geometry.threads, geometry.cache_bytes,
         stream, rows, terms, geometry.cached_sweeps);
}

template void policy_rows_forward(const PolicyRows<float>&, Stream);
template void policy_rows_forward(const PolicyRows<Bf16>&, Stream);
template void policy_rows_gradient<float, float>(const PolicyRows<float>&, const PolicyRowTerms&,
                                                 Stream);
template void policy_rows_gradient<float, Bf16>(const PolicyRows<float>&, const PolicyRowTerms&,
                                                Stream);
template void policy_rows_gradient<Bf16, Bf16>(const PolicyRows<Bf16>&, const PolicyRowTerms&,
                                               Stream);

}  // namespace caprl::kernels
