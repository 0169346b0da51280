// Kernels run on the CPU: device memory is host memory.
#include <sanitizer/asan_interface.h>

#include <cstdlib>
#include <cstring>

#include "kernels/device_buffer.h"

namespace caprl::kernels {

void* device_allocate(size_t bytes) {
  constexpr size_t kAlignment = 256;  // as cudaMalloc's
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}
void device_free(void* memory) { std::free(memory); }
void copy_to_device(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_from_device(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

// The macros do nothing without AddressSanitizer.
void forbid_access(void* memory, size_t bytes, bool forbidden) {
  if (forbidden)
    ASAN_POISON_MEMORY_REGION(memory, bytes);
  else
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
}

}  // namespace caprl::kernels
