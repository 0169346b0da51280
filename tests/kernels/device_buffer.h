// Memory that kernels under test work on: guarded on both sides, poisoned where nothing was put.
// The same tests run on the emulation (host memory) and on a GPU (device memory); the linked
// device_memory_*.cpp decides.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/math/bf16.h"

namespace caprl::kernels {

// Of device_memory_emulated.cpp or device_memory_cuda.cpp. Errors end the test program.
void* device_allocate(size_t bytes);
void device_free(void* memory);
void copy_to_device(void* to, const void* from, size_t bytes);
void copy_from_device(void* to, const void* from, size_t bytes);  // waits for queued kernels
/// Tells AddressSanitizer, where it runs, that nobody may touch these bytes (false: that they may).
void forbid_access(void* memory, size_t bytes, bool forbidden);

template <class T>
class DeviceBuffer {
 public:
  /// `size` values of 0xff bytes (NaN, −1). `offset`: values past a 16-byte boundary, to misalign
  /// on purpose.
  explicit DeviceBuffer(size_t size, size_t offset = 0)
      : size_(size), lead_(kGuard + offset * sizeof(T)) {
    image_.assign(lead_ + size * sizeof(T) + kGuard, kGuardByte);
    std::memset(image_.data() + lead_, 0xff, size * sizeof(T));
    allocate();
  }
  explicit DeviceBuffer(const std::vector<T>& values, size_t offset = 0)
      : size_(values.size()), lead_(kGuard + offset * sizeof(T)) {
    image_.assign(lead_ + size_ * sizeof(T) + kGuard, kGuardByte);
    if (size_ > 0) std::memcpy(image_.data() + lead_, values.data(), size_ * sizeof(T));
    allocate();
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() {
    read();
    device_free(memory_);
  }

  T* get() { return reinterpret_cast<T*>(memory_ + lead_); }
  size_t size() const { return size_; }
  /// The values now; a guard that was written over fails the test.
  std::vector<T> values() {
    read();
    std::vector<T> result(size_);
    if (size_ > 0) std::memcpy(result.data(), image_.data() + lead_, size_ * sizeof(T));
    return result;
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr uint8_t kGuardByte = 0xa5;

  void allocate() {
    memory_ = static_cast<uint8_t*>(device_allocate(image_.size()));
    copy_to_device(memory_, image_.data(), image_.size());
    forbid_guards(true);
  }
  void forbid_guards(bool forbidden) {
    forbid_access(memory_, lead_, forbidden);
    const size_t end = lead_ + size_ * sizeof(T);
    forbid_access(memory_ + end, image_.size() - end, forbidden);
  }
  void read() {
    forbid_guards(false);
    copy_from_device(image_.data(), memory_, image_.size());
    forbid_guards(true);
    for (size_t i = 0; i < image_.size(); ++i) {
      if (i == lead_) i += size_ * sizeof(T);
      if (i < image_.size() && image_[i] != kGuardByte) {
        ADD_FAILURE() << "a kernel wrote outside its buffer of " << size_ << " values, " << i
                      << " bytes into " << image_.size() << " whose values begin at " << lead_;
        break;
      }
    }
  }

  size_t size_, lead_;
  std::vector<uint8_t> image_;  // guards and values as last seen
  uint8_t* memory_ = nullptr;
};

}  // namespace caprl::kernels
