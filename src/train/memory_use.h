// How much memory a run uses now.
#pragma once
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/Tensor.h>

#include "caprl/core/memory.h"

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

}  // namespace caprl
