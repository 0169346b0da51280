// c10d's backends: Gloo is always there, NCCL in builds that have it.
#pragma once
#include <ATen/core/Tensor.h>

#include <chrono>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "caprl/dist/launch.h"

namespace caprl {

using BackendPtr = c10::intrusive_ptr<c10d::Backend>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

BackendPtr make_gloo(const StorePtr& store, const Launch& launch,
                     std::chrono::milliseconds timeout);
/// Error in a build without NCCL.
BackendPtr make_nccl(const StorePtr& store, const Launch& launch,
                     std::chrono::milliseconds timeout);

}  // namespace caprl
