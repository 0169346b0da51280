// Kernels run on the CPU: device memory is host memory.
#include <cstdlib>
#include <cstring>

#include "kernels/device_buffer.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace caprl::kernels {

void* device_allocate(size_t bytes) {
  constexpr size_t kAlignment = 256;  // as cudaMalloc's
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}
void device_free(void* memory) { std::free(memory); }
void copy_to_device(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_from_device(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

#ifdef __SANITIZE_ADDRESS__
void forbid_access(void* memory, size_t bytes, bool forbidden) {
  if (forbidden)
    __asan_poison_memory_region(memory, bytes);
  else
    __asan_unpoison_memory_region(memory, bytes);
}
#else
void forbid_access(void*, size_t, bool) {}
#endif

}  // namespace caprl::kernels
