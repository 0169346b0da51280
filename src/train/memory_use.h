// How much memory a run uses.
#pragma once
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/Tensor.h>

#include "caprl/core/memory.h"
#include "caprl/core/metrics.h"

namespace caprl {

struct MemoryUse {
  int64_t resident = 0;               // bytes, of this process
  int64_t gpu_used = 0, gpu_all = 0;  // of the device, whoever uses it; 0: there is none
};

inline MemoryUse memory_use(at::Device device) {
  MemoryUse use{resident_memory_bytes(), 0, 0};
  if (device.is_cpu()) return use;
  const auto [free, all] = at::accelerator::getMemoryInfo(device.index());
  use.gpu_used = static_cast<int64_t>(all - free);
  use.gpu_all = static_cast<int64_t>(all);
  return use;
}

/// A step's memory of tensors by a GPU's allocator: perf/max_memory_allocated_gb, what the plan of
/// memory predicts. Nothing on a CPU.
class PeakMemory {
 public:
  explicit PeakMemory(at::Device device) : device_(device) {
    if (!device_.is_cpu()) at::accelerator::resetPeakStats(device_.index());
  }
  void add_to(Metrics& metrics) const {
    if (device_.is_cpu()) return;
    using c10::CachingAllocator::StatType;
    const auto stats = at::accelerator::getDeviceStats(device_.index());
    metrics["perf/max_memory_allocated_gb"] =
        static_cast<double>(stats.allocated_bytes[static_cast<size_t>(StatType::AGGREGATE)].peak) /
        1e9;
  }

 private:
  at::Device device_;
};

}  // namespace caprl
