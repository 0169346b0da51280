// Which tokens of a row top_k and top_p keep: those ranked no lower than a cut, found without
// sorting the row.
//
// Both filters ask the same: in the order of ranks, where does a running amount (the number of
// tokens, or their weight) reach a target? One read of the row fills a histogram of both; its bins
// are equal steps of x below the highest, 1/64 of a logit, which spreads a model's logits over
// hundreds of bins, so that few threads meet at one. The bin that reaches the target is read again
// into a list, with all above it if they fit, and ranked there. A bin with more tokens than the
// list holds (many equal logits, or far below the highest) is divided by rank into as many bins
// again, until it fits: ranks are distinct, so that ends after six divisions at most.
//
// Amounts are integers, so that the order of atomic additions does not matter. A 64-bit sum is two
// 32-bit halves, for shared memory has no 64-bit addition: whoever makes the lower half wrap around
// carries into the upper one.
#pragma once
#include "kernels/sampler_row.h"

namespace caprl::kernels {

inline constexpr int kBins = 2048, kBinBits = 11;
inline constexpr float kBinsPerLogit = 64;
inline constexpr int kListed = 1024;

/// The bin in which a running amount reaches its target.
struct ReachedBin {
  int bin;
  unsigned size, above;  // tokens in it, and in the bins before it
  uint64_t before;       // amount of the bins before it
};

/// Shared memory of a cut.
struct CutMemory {
  unsigned counts[kBins], mass_low[kBins], mass_high[kBins];
  uint64_t ranks[kListed], masses[kListed];
  unsigned num_listed;
  ReachedBin reached;
  uint64_t cut;
};

namespace {

/// The sum of the values of all threads before this one. All threads of the block take part.
__device__ uint64_t sum_before(uint64_t value) {
  __shared__ uint64_t warp_sums[kMaxWarps];
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  uint64_t sum = value;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const uint64_t other = __shfl_up_sync(kAllLanes, sum, static_cast<unsigned>(offset));
    if (lane >= offset) sum += other;
  }
  if (lane == kWarp - 1) warp_sums[warp] = sum;
  __syncthreads();
  uint64_t before = sum - value;
  for (int i = 0; i < warp; ++i) before += warp_sums[i];
  __syncthreads();  // before the next call writes `warp_sums`
  return before;
}

/// The kept tokens of one row. All threads of the block call the same and hold the same.
class Cut {
 public:
  __device__ Cut(const TokenRow& row, uint64_t likeliest, CutMemory& memory)
      : row_(row), likeliest_(likeliest), highest_(x_of_rank(likeliest)), memory_(memory) {}

  __device__ void keep_top_k(int64_t k) {
    if (k >= row_.vocab) return;
    const auto target = static_cast<uint64_t>(k);
    fill_below_highest<false>();
    if (total<false>() > target) cut_at<false>(target);
  }
  __device__ void keep_top_p(double p) {
    if (!listed_) fill_below_highest<true>();
    const uint64_t total_mass = listed_ ? listed_mass() : total<true>();
    const auto share = static_cast<uint64_t>(ceil(p * static_cast<double>(total_mass)));
    const uint64_t target = share < total_mass ? share : total_mass;  // but for rounding
    if (listed_)
      cut_list<true>(target, 0);
    else
      cut_at<true>(target);
  }

  __device__ bool keeps(uint64_t rank) const { return rank >= lowest_; }
  /// Whether all kept tokens are in the list, among others.
  __device__ bool is_listed() const { return listed_; }
  template <class Visit>
  __device__ void for_each_listed(Visit visit) const {
    for (unsigned i = threadIdx.x; i < memory_.num_listed; i += blockDim.x)
      if (keeps(memory_.ranks[i])) visit(memory_.ranks[i]);
  }

 private:
  /// The cut is among the ranks [low, high].
  struct Interval {
    uint64_t low, high;
    uint64_t before;       // amount of all tokens above it
    unsigned size, above;  // tokens in it, and above it
  };

  /// e^(x − highest) in units of 2^-40.
  __device__ uint64_t mass_of(float x) const {
    return static_cast<uint64_t>(expf(x - highest_) * 0x1p40f + 0.5f);
  }
  template <bool kMass>
  __device__ uint64_t amount_of(int bin) const {
    if (!kMass) return memory_.counts[bin];
    return static_cast<uint64_t>(memory_.mass_high[bin]) << 32 | memory_.mass_low[bin];
  }

  __device__ int bin_below_highest(float x) const {
    // Steps are parts of a logit before its division by the temperature.
    const float distance = (highest_ - x) * kBinsPerLogit * row_.temperature;
    return distance < kBins - 1 ? static_cast<int>(distance) : kBins - 1;
  }
  /// The lowest rank that a token of bin_below_highest ≤ bin can have.
  __device__ uint64_t lowest_rank_of(int bin) const {
    uint32_t low = ordered_bits(kNever), high = ordered_bits(highest_);
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (bin_below_highest(float_of_ordered(middle)) <= bin)
        high = middle;
      else
        low = middle + 1;
    }
    return static_cast<uint64_t>(low) << 32;
  }

  __device__ void add(int bin, uint64_t mass) {
    const auto low = static_cast<unsigned>(mass);
    const unsigned old = atomicAdd(&memory_.mass_low[bin], low);
    const unsigned high = static_cast<unsigned>(mass >> 32) + (old + low < old ? 1u : 0u);
    if (high != 0) atomicAdd(&memory_.mass_high[bin], high);
  }

  /// The histogram of the tokens of ranks [low, high].
  template <bool kMass, class BinOf>
  __device__ void fill(uint64_t low, uint64_t high, BinOf bin_of) {
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += static_cast<int>(blockDim.x))
      memory_.counts[bin] = memory_.mass_low[bin] = memory_.mass_high[bin] = 0;
    __syncthreads();
    for_each_allowed(row_, [&](const Tokens& tokens) {
      for (int i = 0; i < 4; ++i) {
        const uint64_t rank = rank_of(tokens.x[i], tokens.first + i);
        if (rank < low || rank > high) continue;
        const int bin = bin_of(tokens.x[i], rank);
        atomicAdd(&memory_.counts[bin], 1u);
        if (kMass) add(bin, mass_of(tokens.x[i]));
      }
    });
    __syncthreads();
  }
  template <bool kMass>
  __device__ void fill_below_highest() {
    fill<kMass>(lowest_, likeliest_, [&](float x, uint64_t) { return bin_below_highest(x); });
  }

  /// Calls visit(bin) for the thread's bins, which follow the bins of the threads before it.
  template <class Visit>
  __device__ void for_own_bins(Visit visit) const {
    const int num_threads = static_cast<int>(blockDim.x);
    const int own = (kBins + num_threads - 1) / num_threads;
    const int first = static_cast<int>(threadIdx.x) * own;
    for (int bin = first; bin < first + own && bin < kBins; ++bin) visit(bin);
  }
  template <bool kMass>
  __device__ uint64_t total() const {
    uint64_t sum = 0;
    for_own_bins([&](int bin) { sum += amount_of<kMass>(bin); });
    return block_reduce(sum, Add{}, uint64_t{0});
  }
  template <bool kMass>
  __device__ ReachedBin reach(uint64_t target) {
    uint64_t amount = 0, tokens = 0;
    for_own_bins([&](int bin) {
      amount += amount_of<kMass>(bin);
      tokens += memory_.counts[bin];
    });
    uint64_t before = sum_before(amount), above = kMass ? sum_before(tokens) : before;
    if (before < target && target <= before + amount)
      for_own_bins([&](int bin) {
        const uint64_t after = before + amount_of<kMass>(bin);
        if (before < target && target <= after)
          memory_.reached = {bin, memory_.counts[bin], static_cast<unsigned>(above), before};
        before = after;
        above += memory_.counts[bin];
      });
    __syncthreads();
    return memory_.reached;
  }

  /// Makes the token that reaches the target the lowest one kept. The histogram is filled.
  template <bool kMass>
  __device__ void cut_at(uint64_t target) {
    const ReachedBin first = reach<kMass>(target);
    Interval interval{lowest_rank_of(first.bin), likeliest_, first.before, first.size, first.above};
    if (first.bin > 0) interval.high = lowest_rank_of(first.bin - 1) - 1;
    if (interval.low < lowest_) interval.low = lowest_;
    while (interval.size > kListed) interval = divide<kMass>(interval, target);
    listed_ = interval.above + interval.size <= kListed;
    list(interval.low, listed_ ? likeliest_ : interval.high);
    cut_list<kMass>(target, listed_ ? 0 : interval.before);
  }
  template <bool kMass>
  __device__ Interval divide(const Interval& from, uint64_t target) {
    const int bits = 64 - __clzll(static_cast<long long>(from.high - from.low));
    const int shift = bits > kBinBits ? bits - kBinBits : 0;
    fill<kMass>(from.low, from.high, [&](float, uint64_t rank) {
      return static_cast<int>((from.high - rank) >> shift);
    });
    const ReachedBin to = reach<kMass>(target - from.before);
    const uint64_t high = from.high - (static_cast<uint64_t>(to.bin) << shift);
    const uint64_t most = (uint64_t{1} << shift) - 1, width = high - from.low;
    return {high - (width < most ? width : most), high, from.before + to.before, to.size,
            from.above + to.above};
  }

  /// Tokens of ranks [low, high], in no particular order.
  __device__ void list(uint64_t low, uint64_t high) {
    if (threadIdx.x == 0) memory_.num_listed = 0;
    __syncthreads();
    for_each_allowed(row_, [&](const Tokens& tokens) {
      for (int i = 0; i < 4; ++i) {
        const uint64_t rank = rank_of(tokens.x[i], tokens.first + i);
        if (rank < low || rank > high) continue;
        const unsigned slot = atomicAdd(&memory_.num_listed, 1u);
        memory_.ranks[slot] = rank;
        memory_.masses[slot] = mass_of(tokens.x[i]);
      }
    });
    __syncthreads();
  }
  __device__ uint64_t listed_mass() const {
    uint64_t sum = 0;
    for (unsigned i = threadIdx.x; i < memory_.num_listed; i += blockDim.x)
      if (keeps(memory_.ranks[i])) sum += memory_.masses[i];
    return block_reduce(sum, Add{}, uint64_t{0});
  }
  /// The same as cut_at, among the listed tokens, those above them amounting to `above`.
  template <bool kMass>
  __device__ void cut_list(uint64_t target, uint64_t above) {
    for (unsigned i = threadIdx.x; i < memory_.num_listed; i += blockDim.x) {
      const uint64_t rank = memory_.ranks[i];
      uint64_t before = above;
      for (unsigned j = 0; j < memory_.num_listed; ++j)
        if (memory_.ranks[j] > rank) before += kMass ? memory_.masses[j] : 1;
      if (before < target && target <= before + (kMass ? memory_.masses[i] : 1)) memory_.cut = rank;
    }
    __syncthreads();
    lowest_ = memory_.cut;
  }

  const TokenRow& row_;
  uint64_t likeliest_;
  float highest_;
  CutMemory& memory_;
  uint64_t lowest_ = kLowestRank;
  bool listed_ = false;
};

}  // namespace
}  // namespace caprl::kernels
