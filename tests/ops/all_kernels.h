// The CPU's kernels of every instruction set that this machine runs.
#pragma once
#include <vector>

#include "ops/cpu/kernels.h"

namespace caprl::ops::cpu {

#ifdef CAPRL_TEST_WIDE
namespace wide {  // vectors as long as AVX-512's, made of two
extern const Kernels kTable;
}
#endif

inline std::vector<const Kernels*> all_kernels() {
  int count = 0;
  const Kernels* const* found = runnable_kernels(&count);
  std::vector<const Kernels*> result(found, found + count);
#ifdef CAPRL_TEST_WIDE
  result.push_back(&wide::kTable);
#endif
  return result;
}

}  // namespace caprl::ops::cpu
