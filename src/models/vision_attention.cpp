#include "vision_attention.h"

#include <ATen/ATen.h>

#include <array>
#include <vector>

#include "caprl/ops/attention.h"

namespace caprl {
namespace {

/// q, k, v [sequences, length, heads, D] → the same shape.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return ops::attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2);
}

at::Tensor concatenate(const std::vector<at::Tensor>& parts, int64_t dim) {
  return parts.size() == 1 ? parts[0] : at::cat(parts, dim);
}

/// q, k, v [images, patches, heads, D] of one size, each window on its own.
at::Tensor attend_in_windows(const GridPlan& plan, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v) {
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (const GridPlan::Windows& windows : plan.windows) {
    const int64_t patches = windows.count * windows.patches;
    const auto batch = [&](const at::Tensor& x) {
      return x.narrow(1, begin, patches).reshape({-1, windows.patches, x.size(2), x.size(3)});
    };
    parts.push_back(
        attend(batch(q), batch(k), batch(v)).reshape({q.size(0), patches, q.size(2), q.size(3)}));
    begin += patches;
  }
  return concatenate(parts, 1);
}

/// Images of one size are a batch: `work` gets q, k, v [images, patches, heads, D] of each.
template <class Work>
at::Tensor by_size(const ImageBatch& images, const at::Tensor& q, const at::Tensor& k,
                   const at::Tensor& v, Work work) {
  const int64_t heads = q.size(1), head_dim = q.size(2);
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (const auto& [plan, count] : images.groups) {
    const int64_t patches = count * plan->patches;
    const std::array<int64_t, 4> shape{count, plan->patches, heads, head_dim};
    const auto batch = [&](const at::Tensor& x) { return x.narrow(0, begin, patches).view(shape); };
    parts.push_back(work(*plan, batch(q), batch(k), batch(v)).reshape({patches, heads * head_dim}));
    begin += patches;
  }
  return concatenate(parts, 0);
}

}  // namespace

at::Tensor attend_images(const ImageBatch& images, const at::Tensor& q, const at::Tensor& k,
                         const at::Tensor& v) {
  return by_size(images, q, k, v,
                 [](const GridPlan&, const at::Tensor& q, const at::Tensor& k,
                    const at::Tensor& v) { return attend(q, k, v); });
}

at::Tensor attend_windows(const ImageBatch& images, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v) {
  return by_size(images, q, k, v, attend_in_windows);
}

}  // namespace caprl
