#include "paged_cache.h"

#include "caprl/ops/upload.h"

namespace caprl {

PagedCache::PagedCache(const ModelTraits& traits, int64_t num_pages, at::TensorOptions options)
    : touched_(static_cast<size_t>(num_pages)) {
  for (int64_t i = 0; i < traits.num_layers; ++i)
    layers_.push_back(ops::make_kv_pages(num_pages, traits.num_kv_heads, traits.head_dim, options));
}

int64_t PagedCache::page_bytes(const ModelTraits& traits, at::TensorOptions options) {
  return traits.num_layers * ops::kv_page_bytes(traits.num_kv_heads, traits.head_dim, options);
}

void PagedCache::copy(std::span<const PageCopy> copies) {
  constexpr uint8_t kRead = 1, kWritten = 2;
  std::vector<int64_t> from, to;
  const auto flush = [&] {
    if (from.empty()) return;
    const at::Device device = layers_.front().k.device();
    const at::Tensor sources = ops::upload(from, device), targets = ops::upload(to, device);
    for (ops::KvPages& layer : layers_) ops::copy_kv_pages(layer, sources, targets);
    for (const std::vector<int64_t>* pages : {&from, &to})
      for (const int64_t page : *pages) touched_[page] = 0;
    from.clear(), to.clear();
  };
  for (const PageCopy& copy : copies) {
    // A page of a sample that has been preempted since may be there again.
    if (touched_[copy.from] & kWritten || touched_[copy.to]) flush();
    from.push_back(copy.from);
    to.push_back(copy.to);
    touched_[copy.from] |= kRead;
    touched_[copy.to] |= kWritten;
  }
  flush();
}

at::Tensor PagedCache::attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                              const at::Tensor& v, const ops::RotaryTable& table) {
  return ops::paged_attention(q, k, v, table, layers_[layer], *batch_);
}

}  // namespace caprl
