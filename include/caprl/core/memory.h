// How much memory the machine has left, and how it is asked for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace caprl {

/// Bytes that can be had without swapping (MemAvailable of /proc/meminfo), or what the control
/// group leaves of them. Error if the system does not tell.
int64_t available_memory_bytes();

/// Bytes of this process that are in memory, 0 if the system does not tell.
int64_t resident_memory_bytes();

/// Has this process keep up to 2 GB of what it frees for what it allocates next, rather than give
/// it back to the system, which clears every page that it hands out. For the beginning of a
/// program; nothing happens with another allocator than glibc's, or where the user has set
/// MALLOC_MMAP_THRESHOLD_ or MALLOC_TRIM_THRESHOLD_.
void keep_freed_memory();

/// Asks the system to keep this memory, yet untouched, on large pages: reading all of it again and
/// again then costs a third less. A wish: nothing happens where it cannot be granted.
void prefer_large_pages(void* begin, int64_t bytes);

/// Room for `count` values that are written once and read once, on large pages where there is much
/// of it: touching it first then costs hundreds of times fewer page faults.
template <class T>
void reserve_large(std::vector<T>& values, size_t count) {
  values.reserve(count);
  prefer_large_pages(values.data(), static_cast<int64_t>(count * sizeof(T)));
}

}  // namespace caprl
