#include "kernels/emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "kernels/emulation/sanitizers.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#error "the emulation's run time is compiled without sanitizers; only kernels and tests are checked"
#endif

// void caprl_switch_stack(void** save, void* next): the registers that a call must keep go to the
// stack, the stack pointer to *save, and the same comes back from `next`.
asm(R"(
.pushsection .text
.type caprl_switch_stack, @function
caprl_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size caprl_switch_stack, . - caprl_switch_stack
.popsection
)");
extern "C" void caprl_switch_stack(void** save, void* next);

namespace caprl::emulation {
namespace {

constexpr size_t kGuardBytes = 4096, kStackBytes = 256 * 1024;
// Whether a switch orders memory accesses: 0 and __tsan_switch_to_fiber_no_sync.
constexpr unsigned kSync = 0, kNoSync = 1;

// The running fiber, and the one who resumed it.
Fiber* running = nullptr;
struct {
  void* stack_pointer;
  void* fake_stack;
  const void* bottom;
  size_t size;
  void* tsan_fiber;
} resumer;

}  // namespace

Fiber::Fiber(void (*body)()) : body_(body) {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
  mprotect(memory_, kGuardBytes, PROT_NONE);
  // Tops of stacks are spread over cache lines, which would otherwise compete for the same ones.
  static unsigned count = 0;
  char* const top = memory_ + kGuardBytes + kStackBytes - 64 * (count++ % 64);
  void** frame = reinterpret_cast<void**>(top) - 8;  // 6 registers, enter(), its return address
  frame[6] = reinterpret_cast<void*>(&Fiber::enter);
  stack_pointer_ = frame;
  if (__tsan_create_fiber) tsan_fiber_ = __tsan_create_fiber(0);
}

Fiber::~Fiber() {
  if (__tsan_destroy_fiber) {
    void* const self = __tsan_get_current_fiber();  // all that the fiber did comes before us
    __tsan_switch_to_fiber(tsan_fiber_, kNoSync);
    __tsan_switch_to_fiber(self, kSync);
    __tsan_destroy_fiber(tsan_fiber_);
  }
  if (__asan_unpoison_memory_region)
    __asan_unpoison_memory_region(memory_, kGuardBytes + kStackBytes);
  munmap(memory_, kGuardBytes + kStackBytes);
}

void Fiber::resume() {
  running = this;
  if (__sanitizer_start_switch_fiber)
    __sanitizer_start_switch_fiber(&resumer.fake_stack, memory_ + kGuardBytes, kStackBytes);
  if (__tsan_switch_to_fiber) {
    resumer.tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_fiber_, kNoSync);
  }
  caprl_switch_stack(&resumer.stack_pointer, stack_pointer_);
  if (__sanitizer_finish_switch_fiber)
    __sanitizer_finish_switch_fiber(resumer.fake_stack, nullptr, nullptr);
}

void Fiber::suspend() {
  Fiber* const self = running;
  if (__sanitizer_start_switch_fiber)
    __sanitizer_start_switch_fiber(&self->fake_stack_, resumer.bottom, resumer.size);
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(resumer.tsan_fiber, kNoSync);
  caprl_switch_stack(&self->stack_pointer_, resumer.stack_pointer);
  if (__sanitizer_finish_switch_fiber)
    __sanitizer_finish_switch_fiber(self->fake_stack_, &resumer.bottom, &resumer.size);
}

void Fiber::enter() {
  if (__sanitizer_finish_switch_fiber)
    __sanitizer_finish_switch_fiber(nullptr, &resumer.bottom, &resumer.size);
  running->body_();
  __builtin_trap();
}

}  // namespace caprl::emulation
