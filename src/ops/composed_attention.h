// Attention over pages composed of ATen's operations, a chunk at a time. Pages are
// [num_pages, kKvPageSize, Hkv, D].
#pragma once
#include "caprl/ops/paged_attention.h"

namespace caprl::ops {

/// k and v [N, Hkv, D] to the places `slots` [N] int64, on their device.
void put_on_pages(const at::Tensor& k, const at::Tensor& v, KvPages& pages,
                  const at::Tensor& slots);

/// [P] int32: the pages that the chunk's tokens see.
at::Tensor page_ids(const PagedChunk& chunk, at::Device device);

/// q [count, Hq, D] of the chunk's tokens, whose keys and values are on the pages → the same shape.
/// `ids`: page_ids().
at::Tensor attend_chunk(const at::Tensor& q, const KvPages& pages, const PagedChunk& chunk,
                        const at::Tensor& ids);

}  // namespace caprl::ops
