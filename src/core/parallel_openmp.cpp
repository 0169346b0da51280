#include <omp.h>

#include <exception>
#include <mutex>

#include "caprl/core/parallel.h"

namespace caprl {

int64_t num_loop_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void internal::run_on_threads(int64_t count, void (*run)(const void*, int64_t),
                              const void* context) {
  std::exception_ptr failure;
  std::mutex mutex;
#pragma omp parallel for num_threads(count) schedule(static, 1)
  for (int64_t i = 0; i < count; ++i) {
    try {
      run(context, i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace caprl
