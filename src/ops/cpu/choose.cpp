#include <cstdlib>
#include <string_view>
#include <vector>

#include "ops/cpu/kernels.h"

namespace caprl::ops::cpu {

// Best last.
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kTable;
}
namespace avx512 {
extern const Kernels kTable;
}
namespace avx512_bf16 {
extern const Kernels kTable;
}
#endif
namespace base {
extern const Kernels kTable;
}

namespace {

const std::vector<const Kernels*>& runnable() {
  static const std::vector<const Kernels*> all = [] {
    std::vector<const Kernels*> found{&base::kTable};
#if defined(__x86_64__)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2) found.push_back(&avx2::kTable);
    const bool has_avx512 =
        has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (has_avx512) found.push_back(&avx512::kTable);
    if (has_avx512 && __builtin_cpu_supports("avx512bf16")) found.push_back(&avx512_bf16::kTable);
#endif
    return found;
  }();
  return all;
}

const Kernels& choose() {
  const char* wanted = std::getenv("CAPRL_CPU_ISA");
  for (const Kernels* kernels : runnable())
    if (wanted && std::string_view(wanted) == kernels->name) return *kernels;
  return *runnable().back();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

const Kernels* const* runnable_kernels(int* count) {
  *count = static_cast<int>(runnable().size());
  return runnable().data();
}

}  // namespace caprl::ops::cpu
