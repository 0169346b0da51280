// A stack of its own for each emulated thread, and the switch between stacks (x86-64, System V).
#pragma once
#include <cstddef>

namespace caprl::emulation {

class Fiber {
 public:
  /// `body` begins at the first resume() and must never return.
  explicit Fiber(void (*body)());
  ~Fiber();  // gives up whatever it was doing; nothing on its stack is destroyed
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Goes on with the fiber until it suspends.
  void resume();
  /// Of the running fiber: back to the one who resumed it.
  static void suspend();

 private:
  [[noreturn]] static void enter();

  void (*body_)();
  char* memory_;         // a guard page, then the stack
  void* stack_pointer_;  // while suspended
  void* fake_stack_ = nullptr;
  void* tsan_fiber_ = nullptr;
};

}  // namespace caprl::emulation
