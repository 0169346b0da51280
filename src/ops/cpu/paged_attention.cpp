#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

static_assert(kPageSize == kKvPageSize);

/// Rows of tokens [first, last), turned by the table if there is one.
template <class T>
const T* turned(const at::Tensor& rows, const RotaryTable& table, int64_t first, int64_t last) {
  const int64_t width = rows.size(1) * rows.size(2), half = rows.size(2) / 2;
  const T* x = data<T>(rows) + first * width;
  if (!table.cos.defined()) return x;
  TurnRows<T, T> problem;
  problem.heads = rows.size(1);
  problem.head_dim = rows.size(2);
  problem.x = x;
  problem.x_stride = width;
  problem.cos = data<T>(table.cos) + first * half;
  problem.sin = data<T>(table.sin) + first * half;
  problem.out = reinterpret_cast<T*>(thread_scratch((last - first) * width));
  kernels().of<T>().turn(problem, 0, last - first);
  return problem.out;
}

/// Keys go to [page, head, D, place], values to [page, head, place, padded]; all of them before any
/// is seen: a prompt may begin with pages that another one completes in the same pass.
template <class T>
void put(const at::Tensor& k, const at::Tensor& v, const RotaryTable& table, KvPages& pages,
         const PagedBatch& batch) {
  const int64_t heads = k.size(1), D = k.size(2), padded = padded_head(D);
  const T* values = data<T>(v);
  T *k_pages = data<T>(pages.k), *v_pages = data<T>(pages.v);
  parallel_for(0, batch.num_tokens(), 4, [&](int64_t first, int64_t last) {
    const T* keys = turned<T>(k, table, first, last);
    for (int64_t t = first; t < last; ++t) {
      const int64_t page = batch.slots()[t] / kPageSize, place = batch.slots()[t] % kPageSize;
      for (int64_t h = 0; h < heads; ++h) {
        const T* key = keys + ((t - first) * heads + h) * D;
        T* column = k_pages + (page * heads + h) * D * kPageSize + place;
        for (int64_t d = 0; d < D; ++d) column[d * kPageSize] = key[d];
        std::copy_n(values + (t * heads + h) * D, D,
                    v_pages + ((page * heads + h) * kPageSize + place) * padded);
      }
    }
  });
}

/// Blocks times heads of keys, divided so that every thread has about as many scores to compute.
/// How they are divided changes no result.
template <class Run>
void over_units(const PagedBatch& batch, int64_t kv_heads, Run run) {
  std::vector<int64_t> ends;  // costs of the units up to and with this one
  for (const PagedBatch::Block& block : batch.blocks()) {
    const auto begin = batch.lengths().begin() + block.first;
    const int64_t cost = std::accumulate(begin, begin + block.count, int64_t{0});
    for (int64_t h = 0; h < kv_heads; ++h) ends.push_back((ends.empty() ? 0 : ends.back()) + cost);
  }
  const int64_t threads = std::min<int64_t>(num_loop_threads(), static_cast<int64_t>(ends.size()));
  parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    const auto unit_at = [&](int64_t thread) {
      const int64_t cost = ends.back() * thread / threads;
      return std::upper_bound(ends.begin(), ends.end(), cost) - ends.begin();
    };
    const int64_t end = last == threads ? static_cast<int64_t>(ends.size()) : unit_at(last);
    for (int64_t unit = unit_at(first); unit < end;) {
      const int64_t block = unit / kv_heads, next = std::min(end, (block + 1) * kv_heads);
      run(batch.blocks()[block], Heads{unit - block * kv_heads, next - block * kv_heads});
      unit = next;
    }
  });
}

template <class T>
at::Tensor attend(const at::Tensor& q, int64_t kv_heads, const RotaryTable& table, KvPages& pages,
                  const PagedBatch& batch) {
  at::Tensor out = at::empty(q.sizes(), q.options());
  PagedRows<T> rows;
  rows.heads = q.size(1);
  rows.kv_heads = kv_heads;
  rows.head_dim = q.size(2);
  rows.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(rows.head_dim)));
  rows.q = data<T>(q);
  rows.q_stride = q.size(1) * q.size(2);
  rows.cos = data<T>(table.cos);
  rows.sin = data<T>(table.sin);
  rows.out = data<T>(out);
  rows.k_pages = data<T>(pages.k);
  rows.v_pages = data<T>(pages.v);
  rows.lengths = batch.lengths().data();
  rows.tables = batch.tables().data();
  over_units(batch, rows.kv_heads, [&](const PagedBatch::Block& block, const Heads& heads) {
    const int64_t floats = block.count * (heads.last - heads.first) *
                           scratch_floats(rows.heads / rows.kv_heads, rows.head_dim);
    kernels().of<T>().attend(rows, {block.first, block.count, block.shared}, heads,
                             thread_scratch(floats));
  });
  return out;
}

}  // namespace

void copy_kv_pages(KvPages& pages, const at::Tensor& from, const at::Tensor& to) {
  const auto *sources = data<int64_t>(from), *targets = data<int64_t>(to);
  parallel_for(0, from.numel(), 16, [&](int64_t first, int64_t last) {
    for (at::Tensor* of : {&pages.k, &pages.v}) {
      const int64_t bytes = of->stride(0) * of->itemsize();
      auto* base = static_cast<char*>(of->mutable_data_ptr());
      for (int64_t i = first; i < last; ++i)
        std::memcpy(base + targets[i] * bytes, base + sources[i] * bytes, bytes);
    }
  });
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const PagedBatch& batch) {
  const at::Tensor queries = q.contiguous(), keys = k.contiguous(), values = v.contiguous();
  RotaryTable rows = table;
  if (table.cos.defined()) rows = {table.cos.contiguous(), table.sin.contiguous()};
  return with_element(q.scalar_type(), [&](auto element) {
    using T = decltype(element);
    put<T>(keys, values, rows, pages, batch);
    return attend<T>(queries, keys.size(1), rows, pages, batch);
  });
}

}  // namespace caprl::ops::cpu
