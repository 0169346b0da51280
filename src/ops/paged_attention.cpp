#include "caprl/ops/paged_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/ops/upload.h"
#include "ops/composed_attention.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

constexpr int64_t kBlockTokens = 16;

bool has_cpu_layout(const at::TensorOptions& options) {
  return cpu::has_kernels(at::empty({0}, options));
}

/// Pages that two sequences begin with, both of them whole.
int64_t shared_pages(const PagedChunk& a, const PagedChunk& b) {
  const size_t most = std::min(a.pages.size(), b.pages.size());
  size_t n = 0;
  while (n < most && a.pages[n] == b.pages[n]) ++n;
  return static_cast<int64_t>(n);
}

at::Tensor composed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, KvPages& pages,
                    const PagedBatch& batch) {
  put_on_pages(k, v, pages, upload(batch.slots(), q.device()));
  std::vector<at::Tensor> mixed;
  int64_t begin = 0;
  for (const PagedChunk& chunk : batch.chunks()) {
    mixed.push_back(
        attend_chunk(q.narrow(0, begin, chunk.count), pages, chunk, page_ids(chunk, q.device())));
    begin += chunk.count;
  }
  return at::cat(mixed);
}

}  // namespace

KvPages make_kv_pages(int64_t num_pages, int64_t kv_heads, int64_t head_dim,
                      at::TensorOptions options) {
  if (!has_cpu_layout(options)) {
    const std::vector<int64_t> shape{num_pages, kKvPageSize, kv_heads, head_dim};
    return {at::zeros(shape, options), at::zeros(shape, options)};
  }
  // Not cleared, which would take memory that is never used: places without a token are not read.
  return {at::empty({num_pages, kv_heads, head_dim, kKvPageSize}, options),
          at::empty({num_pages, kv_heads, kKvPageSize, cpu::padded_head(head_dim)}, options)};
}

int64_t kv_page_bytes(int64_t kv_heads, int64_t head_dim, at::TensorOptions options) {
  const int64_t values = has_cpu_layout(options) ? cpu::padded_head(head_dim) : head_dim;
  return kv_heads * (head_dim + values) * kKvPageSize *
         static_cast<int64_t>(options.dtype().itemsize());
}

void copy_kv_pages(KvPages& pages, const at::Tensor& from, const at::Tensor& to) {
  if (cpu::has_kernels(pages.k)) return cpu::copy_kv_pages(pages, from, to);
  pages.k.index_copy_(0, to, pages.k.index_select(0, from));
  pages.v.index_copy_(0, to, pages.v.index_select(0, from));
}

PagedBatch::PagedBatch(std::span<const PagedChunk> chunks, int64_t padding, bool to_record)
    : chunks_(chunks.begin(), chunks.end()), to_record_(to_record) {
  for (const PagedChunk& chunk : chunks_) {
    const int64_t end = chunk.first + chunk.count;
    if (chunk.first < 0 || chunk.count < 1 ||
        end > static_cast<int64_t>(chunk.pages.size()) * kKvPageSize)
      throw Error("[paged attention] tokens {} to {} do not fit on {} pages", chunk.first, end,
                  chunk.pages.size());
    for (int64_t place = chunk.first; place < end; ++place) {
      lengths_.push_back(place + 1);
      tables_.push_back(chunk.pages.data());
      slots_.push_back(chunk.pages[place / kKvPageSize] * kKvPageSize + place % kKvPageSize);
    }
  }
  add_blocks();
  lengths_.resize(lengths_.size() + padding, 0);
  tables_.resize(tables_.size() + padding, nullptr);
  slots_.resize(slots_.size() + padding, -1);
}

bool PagedBatch::take(const std::shared_ptr<const fused::AttentionPlan>& earlier) {
  if (!fused::renew(*earlier, *this)) return false;
  plan = earlier;
  return true;
}

/// Blocks end where a neighbour shares no page, and where sharing would shrink to less than half of
/// what it has been.
void PagedBatch::add_blocks() {
  int64_t token = 0;
  const PagedChunk* last = nullptr;  // of the open block
  for (const PagedChunk& chunk : chunks_) {
    const auto mine = static_cast<int64_t>(chunk.pages.size());
    const int64_t common = last ? std::min(shared_pages(*last, chunk), blocks_.back().shared) : 0;
    bool joins = common > 0 && 2 * common >= blocks_.back().shared;
    for (int64_t i = 0; i < chunk.count; ++i, ++token) {
      if (!joins || blocks_.back().count == kBlockTokens) {
        blocks_.push_back({token, 0, mine});
        joins = true;
      } else if (i == 0) {
        blocks_.back().shared = common;
      }
      ++blocks_.back().count;
    }
    last = &chunk;
  }
}

bool can_record_attention(int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype) {
  return fused::has_attention_kernel(heads, kv_heads, head_dim, dtype);
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const PagedBatch& batch) {
  TORCH_CHECK(
      q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == batch.num_tokens() &&
          k.size(0) == q.size(0) && k.size(2) == q.size(2) && q.size(1) % k.size(1) == 0,
      "[paged attention] expected q [", batch.num_tokens(), ", Hq, D], k and v [",
      batch.num_tokens(), ", Hkv, D], got ", q.sizes(), ", ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK(q.scalar_type() == k.scalar_type() && k.scalar_type() == v.scalar_type() &&
                  k.scalar_type() == pages.k.scalar_type(),
              "[paged attention] expected one dtype, got ", q.scalar_type(), ", ", k.scalar_type(),
              ", ", v.scalar_type(), " and pages of ", pages.k.scalar_type());
  at::Tensor out;
  if (fused::runs_on(q) && fused::paged_attention(q, k, v, table, pages, batch, out)) return out;
  if (cpu::has_kernels(q) && (!table.cos.defined() || cpu::rotates(q, table)))
    return cpu::paged_attention(q, k, v, table, pages, batch);
  if (table.cos.defined()) {
    const auto [turned_q, turned_k] = rotate(q, k, table);
    return paged_attention(turned_q, turned_k, v, {}, pages, batch);
  }
  return composed(q, k, v, pages, batch);
}

}  // namespace caprl::ops
