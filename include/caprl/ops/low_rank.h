// Low-rank adapters of frozen matrices (LoRA, arXiv 2106.09685).
#pragma once
#include "caprl/ops/weight.h"

namespace caprl::ops {

/// A matrix W [N, K] becomes W + scale · B A.
struct LowRank {
  bool defined() const { return a.values.defined(); }

  Weight a, b;  // [r, K], [N, r]; undefined: there is no adapter
  double scale = 1;
};

/// While one lives, operations that this thread calls leave adapters out: the base model, without a
/// second copy of it. May be nested.
class AdaptersOff {
 public:
  AdaptersOff();
  ~AdaptersOff();
  AdaptersOff(const AdaptersOff&) = delete;
  AdaptersOff& operator=(const AdaptersOff&) = delete;

  /// Whether this thread leaves them out.
  static bool here();
};

}  // namespace caprl::ops
