#include "device_time.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime.h>

#include "caprl/core/error.h"

namespace caprl::bench {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

/// Bytes of tensors on the current device.
auto allocated() {
  const auto stats = allocator::getDeviceStats(c10::cuda::current_device());
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
}

}  // namespace

std::vector<double> time_on_device(const Work& work, int64_t samples, int64_t calls) {
  std::vector<double> milliseconds;
  at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
  for (int64_t s = 0; s < samples; ++s) {
    c10::cuda::device_synchronize();
    begin.record();
    for (int64_t c = 0; c < calls; ++c) work(s * calls + c);
    end.record();
    end.synchronize();
    milliseconds.push_back(begin.elapsed_time(end) / static_cast<double>(calls));
  }
  return milliseconds;
}

int64_t peak_of_temporaries(const std::function<void()>& work) {
  c10::cuda::device_synchronize();
  allocator::resetPeakStats(c10::cuda::current_device());
  work();
  c10::cuda::device_synchronize();
  const auto stat = allocated();
  return stat.peak - stat.current;
}

void release_cached_memory() { allocator::emptyCache(); }

int64_t free_device_memory() {
  size_t free = 0, total = 0;
  const cudaError_t status = cudaMemGetInfo(&free, &total);
  if (status != cudaSuccess) throw Error("[bench] {}", cudaGetErrorString(status));
  return static_cast<int64_t>(free);
}

void poison_new_tensors(bool poison) {
  at::globalContext().setDeterministicFillUninitializedMemory(poison);
  at::globalContext().setDeterministicAlgorithms(poison, /*warn_only=*/true);
}

}  // namespace caprl::bench
