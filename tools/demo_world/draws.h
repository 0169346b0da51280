// A sequence of random draws that belongs to one item of the demonstration: a scene, a caption, a
// group of questions.
#pragma once
#include <cstdint>
#include <utility>

#include "caprl/core/philox.h"

namespace caprl::demo {

/// Which sequence an item's draws come from; part of the address, so the items of two kinds never
/// share random numbers.
enum class Split : uint64_t {
  kTrainScenes,
  kHeldOutScenes,
  kTrainQuestions,
  kHeldOutQuestions,
  kVagueCaptions,
  kAnswererTraining,
  kAnswererTest,
  kJudgedCaptions,
  kPoolScenes,
  kWrittenQuestions,
  kCuratorQuestions,
  kToldAnswers,
  kRatedCaptions,
  kAnnotatedScenes,
};

class Draws {
 public:
  Draws(uint64_t seed, Split split, int64_t item);

  double uniform() { return rng_.uniform(0, next_++); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool chance(double probability) { return uniform() < probability; }
  int64_t below(int64_t n) { return rng_.below(n, 0, next_++); }
  /// Standard normal number of a place, outside the sequence.
  double normal_at(int64_t place) const { return rng_.normal(1, static_cast<uint64_t>(place)); }

  template <class Items>
  void shuffle(Items& items) {
    for (auto left = static_cast<int64_t>(items.size()); left > 1; --left)
      std::swap(items[left - 1], items[below(left)]);
  }

 private:
  CounterRng rng_;
  uint64_t next_ = 0;
};

}  // namespace caprl::demo
