// How several processes train one model.
#pragma once
#include <chrono>
#include <cstdint>

#include "caprl/core/config.h"

namespace caprl {

enum class ReduceDtype { kFloat32, kBFloat16 };

/// Section `parallel`. One process alone uses none of it.
struct ParallelConfig {
  int64_t zero_stage = 2;  // ZeRO, arXiv 1910.02054
  int64_t bucket_mb = 128;
  ReduceDtype reduce_dtype = ReduceDtype::kFloat32;
  double timeout_s = 60;
  double collective_timeout_s = 1800;
  void fields(ConfigVisitor& v);
  /// InputError unless the processes can divide the batch.
  static void check_batch(int64_t train_batch_size, int processes);
  std::chrono::milliseconds timeout() const { return milliseconds(timeout_s); }
  std::chrono::milliseconds collective_timeout() const {
    return milliseconds(collective_timeout_s);
  }

 private:
  static std::chrono::milliseconds milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  }
};

}  // namespace caprl
