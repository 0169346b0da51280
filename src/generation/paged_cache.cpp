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
  finish_copies();  // of a pass that had no tokens
  std::vector<int64_t> from, to;
  const auto begin_copies = [&] {
    const at::Device device = layers_.front().k.device();
    copies_ = {ops::upload(from, device), ops::upload(to, device), 0};
    for (const std::vector<int64_t>* pages : {&from, &to})
      for (const int64_t page : *pages) touched_[page] = 0;
    from.clear(), to.clear();
  };
  for (const PageCopy& copy : copies) {
    // A page of a sample that has been preempted since may be there again.
    if (touched_[copy.from] & kWritten || touched_[copy.to]) begin_copies(), finish_copies();
    from.push_back(copy.from);
    to.push_back(copy.to);
    touched_[copy.from] |= kRead;
    touched_[copy.to] |= kWritten;
  }
  if (!from.empty()) begin_copies();
  if (!layers_.front().k.is_cpu()) finish_copies();  // recorded passes do not come by here
}

void PagedCache::copy_layer() {
  ops::copy_kv_pages(layers_[copies_.next_layer++], copies_.from, copies_.to);
  if (copies_.next_layer == std::ssize(layers_)) copies_ = {};
}

void PagedCache::finish_copies() {
  while (copies_.from.defined()) copy_layer();
}

at::Tensor PagedCache::attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                              const at::Tensor& v, const ops::RotaryTable& table) {
  if (copies_.from.defined() && copies_.next_layer == layer) copy_layer();
  return ops::paged_attention(q, k, v, table, layers_[layer], *batch_);
}

}  // namespace caprl
