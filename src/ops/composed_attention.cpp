#include "composed_attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "caprl/ops/attention.h"
#include "caprl/ops/upload.h"

namespace caprl::ops {
namespace {

/// [num_pages · kKvPageSize, Hkv, D]
at::Tensor places(const at::Tensor& pages) {
  return pages.view({-1, pages.size(2), pages.size(3)});
}

}  // namespace

void put_on_pages(const at::Tensor& k, const at::Tensor& v, KvPages& pages,
                  const at::Tensor& slots) {
  places(pages.k).index_copy_(0, slots, k);
  places(pages.v).index_copy_(0, slots, v);
}

at::Tensor page_ids(const PagedChunk& chunk, at::Device device) {
  const int64_t num_pages = (chunk.first + chunk.count + kKvPageSize - 1) / kKvPageSize;
  return upload(chunk.pages.first(num_pages), device);
}

at::Tensor attend_chunk(const at::Tensor& q, const KvPages& pages, const PagedChunk& chunk,
                        const at::Tensor& ids) {
  const int64_t length = chunk.first + chunk.count;
  const auto seen = [&](const at::Tensor& x) {  // [1, Hkv, length, D]
    return places(x.index_select(0, ids)).narrow(0, 0, length).transpose(0, 1).unsqueeze(0);
  };
  // A chunk that begins its sequence needs no mask of its own, for which there are faster kernels.
  at::Tensor mask;
  if (chunk.first > 0) {
    const auto on_device = at::TensorOptions(at::kLong).device(q.device());
    const at::Tensor later =
        at::arange(length, on_device) > at::arange(chunk.first, length, on_device).unsqueeze(1);
    mask = at::zeros(later.sizes(), q.options())
               .masked_fill_(later, -std::numeric_limits<double>::infinity());
  }
  return attention(q.transpose(0, 1).unsqueeze(0), seen(pages.k), seen(pages.v), mask,
                   /*causal=*/!mask.defined())
      .squeeze(0)
      .transpose(0, 1);
}

}  // namespace caprl::ops
