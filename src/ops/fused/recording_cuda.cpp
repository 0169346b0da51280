#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "caprl/ops/recording.h"

namespace caprl::ops {

struct Recording::Graph {
  at::cuda::CUDAGraph graph;
};

Recording::Recording() : graph_(std::make_unique<Graph>()) {}
Recording::~Recording() = default;

bool Recording::possible(at::Device device) { return device.is_cuda(); }

void Recording::record(const std::function<void()>& work) {
  // The default stream cannot be recorded. One for all: each would get a workspace of cuBLAS.
  static const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
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
