// How much memory tensors of the CPU hold.
#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>

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
    c10::DataPtr data = real_->allocate(bytes);
    if (bytes == 0) return data;
    live += static_cast<int64_t>(bytes);
    peak = std::max<int64_t>(peak, live);
    auto* block = new Block{std::move(data), static_cast<int64_t>(bytes)};
    void* begin = block->data.get();
    return {begin, block, &release, c10::DeviceType::CPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  int64_t live_bytes() const { return live; }
  int64_t peak_bytes() const { return peak; }
  void forget_peak() { peak = live.load(); }

 private:
  static constexpr uint8_t kPriority = 255;
  struct Block {
    c10::DataPtr data;
    int64_t bytes;
  };
  static void release(void* block) {
    auto* mine = static_cast<Block*>(block);
    live -= mine->bytes;
    delete mine;
  }
  inline static std::atomic<int64_t> live = 0, peak = 0;
  c10::Allocator* real_;
};

}  // namespace caprl
