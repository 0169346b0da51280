#include "paged_cache.h"

namespace caprl {

PagedCache::PagedCache(const ModelTraits& traits, int64_t num_pages, at::TensorOptions options) {
  for (int64_t i = 0; i < traits.num_layers; ++i)
    layers_.push_back(ops::make_kv_pages(num_pages, traits.num_kv_heads, traits.head_dim, options));
}

int64_t PagedCache::page_bytes(const ModelTraits& traits, at::TensorOptions options) {
  return traits.num_layers * ops::kv_page_bytes(traits.num_kv_heads, traits.head_dim, options);
}

void PagedCache::copy(const PageCopy& copy) {
  for (ops::KvPages& layer : layers_) ops::copy_kv_page(layer, copy.from, copy.to);
}

at::Tensor PagedCache::attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                              const at::Tensor& v, const ops::RotaryTable& table) {
  return ops::paged_attention(q, k, v, table, layers_[layer], *batch_);
}

}  // namespace caprl
