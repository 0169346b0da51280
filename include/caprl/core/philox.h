// Counter-based random numbers: every draw is a pure function of what it is for, never of when it
// is made.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace caprl {

/// What a stream of random numbers is for; streams of different purposes never overlap.
enum class RandomPurpose : uint64_t {
  kTokenSampling = 1,  // ids: step, prompt id, sample; counter: position, token id
  kQuestionDraw,       // ids: step, prompt id, sample; counter: draw
  kOptionOrder,        // ids: step, prompt id, sample; counter: draw
  kAnswerSampling,     // ids: step, prompt id, sample, draw
  kDataOrder,          // ids: epoch
  kInitialization,     // ids: parameter name hash
  kRewardShuffle,      // ids: step; the shuffled-reward control
  kDemoWorld,          // ids: split, image
  kHttpRetry,          // ids: the call; counter: attempt
  kBootstrap,          // ids: benchmark; counter: resample, draw
};

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Numbers at addresses. The 64-bit key is a hash of (seed, purpose, ids), the 128-bit counter is
/// the caller's. Copyable, stateless, thread safe.
class CounterRng {
 public:
  CounterRng(uint64_t seed, RandomPurpose purpose, std::initializer_list<uint64_t> ids);

  uint64_t key() const { return key_; }
  /// Four independent 32-bit words at the counter (high, low).
  std::array<uint32_t, 4> block(uint64_t high, uint64_t low) const;
  /// Uniform in (0, 1), 32 random bits, never 0 and never 1.
  double uniform(uint64_t high, uint64_t low = 0) const;
  /// Uniform integer in [0, n), n ≥ 1.
  int64_t below(int64_t n, uint64_t high, uint64_t low = 0) const;
  /// Standard normal (Box-Muller of one block).
  double normal(uint64_t high, uint64_t low = 0) const;
  /// A uniformly random order of 0 … n−1 (Fisher-Yates; uses the counters (high, 0 … n−1)).
  std::vector<int64_t> permutation(int64_t n, uint64_t high) const;

 private:
  uint64_t key_;
};

}  // namespace caprl
