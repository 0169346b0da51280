// How much memory tensors of the CPU hold.
#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

namespace caprl {

/// While it lives, it counts what is allocated; one at a time. Memory may outlive it.
class CountingAllocator : public c10::Allocator {
 public:
  CountingAllocator() : real_(c10::GetCPUAllocator()) {
    live = peak = 0;
    c10::SetCPUAllocator(this, kPriority);
  }
  ~CountingAllocator() override { c10::SetCPUAllocator(real_, kPriority); }

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::DeviceType::CPU};
    // Its size stands before it.
    const size_t whole = (bytes + 2 * kHeader - 1) / kHeader * kHeader;
    auto* block = static_cast<char*>(std::aligned_alloc(kHeader, whole));
    *reinterpret_cast<int64_t*>(block) = static_cast<int64_t>(bytes);
    live += static_cast<int64_t>(bytes);
    peak = std::max<int64_t>(peak, live);
    return {block + kHeader, block + kHeader, &release, c10::DeviceType::CPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  int64_t live_bytes() const { return live; }
  /// Since it began, or since start_peak().
  int64_t peak_bytes() const { return peak; }
  void start_peak() { peak = live.load(); }

 private:
  static constexpr uint8_t kPriority = 255;
  static constexpr size_t kHeader = 64;  // what vectors may ask for
  static void release(void* data) {
    if (data == nullptr) return;
    char* block = static_cast<char*>(data) - kHeader;
    live -= *reinterpret_cast<int64_t*>(block);
    std::free(block);
  }
  inline static std::atomic<int64_t> live = 0, peak = 0;
  c10::Allocator* real_;
};

}  // namespace caprl
