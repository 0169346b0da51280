#include "caprl/core/parallel.h"

#include <exception>
#include <mutex>

// GCC's OpenMP library by its own interface, whatever the compiler: LibTorch's loops use the same
// threads, and Clang's -fopenmp would bring a second library with a second set.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming): the libraries' names
void GOMP_parallel(void (*body)(void*), void* data, unsigned num_threads, unsigned flags);
int omp_in_parallel();
int omp_get_max_threads();
int omp_get_num_threads();
int omp_get_thread_num();
// Null in a program without ThreadSanitizer, which does not see where the library's threads meet.
[[gnu::weak]] void __tsan_acquire(void* token);
[[gnu::weak]] void __tsan_release(void* token);
// NOLINTEND(readability-identifier-naming)
}

namespace caprl {
namespace {

struct Team {
  int64_t count;
  void (*run)(const void*, int64_t);
  const void* context;
  std::mutex mutex;
  std::exception_ptr failure;
};

/// What this thread has done comes before what others do after acquire_order().
void release_order(void* token) {
  if (__tsan_release != nullptr) __tsan_release(token);
}
void acquire_order(void* token) {
  if (__tsan_acquire != nullptr) __tsan_acquire(token);
}

void run_part(void* data) {
  acquire_order(data);
  Team& team = *static_cast<Team*>(data);
  // Fewer threads may have come than were asked for.
  for (int64_t i = omp_get_thread_num(); i < team.count; i += omp_get_num_threads()) {
    try {
      team.run(team.context, i);
    } catch (...) {
      const std::lock_guard lock(team.mutex);
      if (!team.failure) team.failure = std::current_exception();
    }
  }
  release_order(data);
}

}  // namespace

int64_t num_loop_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void internal::run_on_threads(int64_t count, void (*run)(const void*, int64_t),
                              const void* context) {
  Team team{count, run, context, {}, nullptr};
  release_order(&team);
  GOMP_parallel(run_part, &team, static_cast<unsigned>(count), 0);
  acquire_order(&team);
  if (team.failure) std::rethrow_exception(team.failure);
}

}  // namespace caprl
