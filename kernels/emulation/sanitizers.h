// What AddressSanitizer and ThreadSanitizer must be told about fibers. Weak: null in a program
// without the sanitizer, so that one object file serves all.
#pragma once
#include <cstddef>

extern "C" {
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom,
                                                  size_t size);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack, const void** old_bottom,
                                                   size_t* old_size);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* memory, size_t size);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* token);
[[gnu::weak]] void __tsan_release(void* token);
}

namespace caprl::emulation {

/// What the running fiber did so far happens before what others do after acquire_order(token).
inline void release_order(void* token) {
  if (__tsan_release) __tsan_release(token);
}
inline void acquire_order(void* token) {
  if (__tsan_acquire) __tsan_acquire(token);
}

}  // namespace caprl::emulation
