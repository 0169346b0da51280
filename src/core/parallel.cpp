#include "caprl/core/parallel.h"

#include <exception>
#include <mutex>

// GCC's OpenMP library by its own interface, whatever the compiler: LibTorch's loops use the same
// threads, and Clang's -fopenmp would bring a second library with a second set.
extern "C" {
// NOLINTNEXTLINE(readability-identifier-naming): the library's name
void GOMP_parallel(void (*body)(void*), void* data, unsigned num_threads, unsigned flags);
int omp_in_parallel();
int omp_get_max_threads();
int omp_get_num_threads();
int omp_get_thread_num();
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

void run_part(void* data) {
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
}

}  // namespace

int64_t num_loop_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void internal::run_on_threads(int64_t count, void (*run)(const void*, int64_t),
                              const void* context) {
  Team team{count, run, context, {}, nullptr};
  GOMP_parallel(run_part, &team, static_cast<unsigned>(count), 0);
  if (team.failure) std::rethrow_exception(team.failure);
}

}  // namespace caprl
