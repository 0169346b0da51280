// Numbers from the host to a device.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>

namespace caprl::ops {

/// [N] on `device`. Queued like any operation: over pinned memory, so that the host does not wait
/// for what a GPU has yet to do.
at::Tensor upload(std::span<const int64_t> values, at::Device device);
at::Tensor upload(std::span<const int32_t> values, at::Device device);
at::Tensor upload(std::span<const double> values, at::Device device);
/// The same of a tensor on the host; one that is on `device` already stays as it is.
at::Tensor upload(const at::Tensor& values, at::Device device);

/// Rows of three as columns: [3, N].
at::Tensor upload_columns(std::span<const std::array<int64_t, 3>> rows, at::Device device);

/// The same as upload() into `to` [N], which has their dtype.
void upload_to(at::Tensor& to, std::span<const int64_t> values);
void upload_to(at::Tensor& to, std::span<const int32_t> values);

}  // namespace caprl::ops
