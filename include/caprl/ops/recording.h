// Work of a GPU that is queued again in one go.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace caprl::ops {

/// What some work queues on the current GPU, kept (a CUDA graph). It reads and writes the same
/// memory every time. Not thread safe.
class Recording {
 public:
  Recording();
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// Whether this build and device can.
  static bool possible(at::Device device);

  /// `work` is called and what it queues is kept, but not done. It must have been done before with
  /// tensors of the same shapes, and must not wait for the device; tensors that it makes are valid
  /// after replay().
  void record(const std::function<void()>& work);
  /// Queues it on the current stream.
  void replay();

 private:
  struct Graph;
  std::unique_ptr<Graph> graph_;
};

}  // namespace caprl::ops
