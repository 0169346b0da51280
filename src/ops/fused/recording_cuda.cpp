#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <mutex>

#include "caprl/ops/recording.h"

namespace caprl::ops {
namespace {

/// The default stream cannot be recorded. One a device: each gets a workspace of cuBLAS.
c10::cuda::CUDAStream recording_stream() {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
  const std::lock_guard lock(mutex);
  const c10::DeviceIndex device = c10::cuda::current_device();
  auto found = streams.find(device);
  if (found == streams.end())
    found = streams.emplace(device, c10::cuda::getStreamFromPool(false, device)).first;
  return found->second;
}

}  // namespace

struct Recording::Graph {
  at::cuda::CUDAGraph graph;
};

Recording::Recording() : graph_(std::make_unique<Graph>()) {}
Recording::~Recording() = default;

bool Recording::possible(at::Device device) { return device.is_cuda(); }

void Recording::record(const std::function<void()>& work) {
  const c10::cuda::CUDAStreamGuard guard(recording_stream());
  graph_->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    graph_->graph.capture_end();
    throw;
  }
  graph_->graph.capture_end();
}

void Recording::replay() { graph_->graph.replay(); }

}  // namespace caprl::ops
