// Compilers whose OpenMP would bring a second set of threads beside LibTorch's.
#include "caprl/core/parallel.h"

namespace caprl {

int64_t num_loop_threads() { return 1; }

void internal::run_on_threads(int64_t count, void (*run)(const void*, int64_t),
                              const void* context) {
  for (int64_t i = 0; i < count; ++i) run(context, i);
}

}  // namespace caprl
