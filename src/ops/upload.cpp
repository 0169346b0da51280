#include "caprl/ops/upload.h"

#include <ATen/ATen.h>

#include <cstring>
#include <vector>

namespace caprl::ops {
namespace {

template <class T>
at::Tensor on_host(std::span<const T> values, bool pinned) {
  at::Tensor host =
      at::empty({static_cast<int64_t>(values.size())},
                at::TensorOptions(c10::CppTypeToScalarType<T>::value).pinned_memory(pinned));
  if (!values.empty()) std::memcpy(host.mutable_data_ptr<T>(), values.data(), values.size_bytes());
  return host;
}

template <class T>
at::Tensor upload_values(std::span<const T> values, at::Device device) {
  const at::Tensor host = on_host(values, device.is_cuda());
  return device.is_cuda() ? host.to(device, /*non_blocking=*/true) : host.to(device);
}

template <class T>
void upload_values_to(at::Tensor& to, std::span<const T> values) {
  to.copy_(on_host(values, to.is_cuda()), /*non_blocking=*/true);
}

}  // namespace

at::Tensor upload(std::span<const int64_t> values, at::Device device) {
  return upload_values(values, device);
}
at::Tensor upload(std::span<const int32_t> values, at::Device device) {
  return upload_values(values, device);
}
at::Tensor upload(std::span<const double> values, at::Device device) {
  return upload_values(values, device);
}
at::Tensor upload(const at::Tensor& values, at::Device device) {
  if (values.device() == device) return values;
  const bool queued = device.is_cuda() && values.is_cpu();
  return queued ? values.pin_memory().to(device, /*non_blocking=*/true) : values.to(device);
}
at::Tensor upload_columns(std::span<const std::array<int64_t, 3>> rows, at::Device device) {
  std::vector<int64_t> columns(3 * rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t axis = 0; axis < 3; ++axis) columns[axis * rows.size() + i] = rows[i][axis];
  return upload(columns, device).view({3, static_cast<int64_t>(rows.size())});
}
void upload_to(at::Tensor& to, std::span<const int64_t> values) { upload_values_to(to, values); }
void upload_to(at::Tensor& to, std::span<const int32_t> values) { upload_values_to(to, values); }

}  // namespace caprl::ops
