#include "caprl/core/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "caprl/core/error.h"

namespace caprl {
namespace {

std::optional<int64_t> first_number(const char* file) {
  std::ifstream in(file);
  int64_t value = 0;
  if (!(in >> value)) return std::nullopt;  // "max", too
  return value;
}

/// The number after `key` in a file of such pairs.
std::optional<int64_t> number_of(const char* file, std::string_view key) {
  std::ifstream in(file);
  int64_t value = 0;
  for (std::string word; in >> word; in.ignore(1000, '\n'))
    if (word == key && in >> value) return value;
  return std::nullopt;
}

/// What the control group's limit leaves; files' pages, which go when memory is needed, do not
/// count as used.
std::optional<int64_t> left_by_group() {
  const auto limit = first_number("/sys/fs/cgroup/memory.max");
  const auto used = first_number("/sys/fs/cgroup/memory.current");
  const auto files = number_of("/sys/fs/cgroup/memory.stat", "inactive_file");
  if (!limit || !used) return std::nullopt;
  return std::max<int64_t>(0, *limit - *used + files.value_or(0));
}

}  // namespace

int64_t available_memory_bytes() {
  const auto kilobytes = number_of("/proc/meminfo", "MemAvailable:");
  if (!kilobytes) throw Error("/proc/meminfo: expected a line MemAvailable");
  const int64_t available = *kilobytes * 1024;
  return std::min(available, left_by_group().value_or(available));
}

int64_t resident_memory_bytes() {
  return number_of("/proc/self/status", "VmRSS:").value_or(0) * 1024;
}

void keep_freed_memory() {
#ifdef __GLIBC__
  if (std::getenv("MALLOC_MMAP_THRESHOLD_") || std::getenv("MALLOC_TRIM_THRESHOLD_")) return;
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

void prefer_large_pages(void* begin, int64_t bytes) {
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (address + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = (address + static_cast<uintptr_t>(bytes)) / kLargePage * kLargePage;
  if (first < end)
    madvise(static_cast<char*>(begin) + (first - address), end - first, MADV_HUGEPAGE);
}

}  // namespace caprl
