// How much memory the machine has left.
#pragma once
#include <cstdint>

namespace caprl {

/// Bytes that can be had without swapping (MemAvailable of /proc/meminfo), or what the control
/// group leaves of them. Error if the system does not tell.
int64_t available_memory_bytes();

/// Asks the system to keep this memory, yet untouched, on large pages: reading all of it again and
/// again then costs a third less. A wish: nothing happens where it cannot be granted.
void prefer_large_pages(void* begin, int64_t bytes);

}  // namespace caprl
