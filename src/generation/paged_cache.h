// Keys and values of all layers, in pages.
#pragma once
#include <cstdint>
#include <vector>

#include "caprl/models/attention.h"
#include "caprl/models/model.h"
#include "caprl/ops/paged_attention.h"
#include "scheduler.h"

namespace caprl {

class PagedCache : public Attention {
 public:
  PagedCache(const ModelTraits& traits, int64_t num_pages, at::TensorOptions options);
  static int64_t page_bytes(const ModelTraits& traits, at::TensorOptions options);

  /// One after another, in as few operations as that takes. On a CPU a layer's pages are copied
  /// when the next pass comes to it, and lie in the processor's cache for what reads them.
  void copy(std::span<const PageCopy> copies);
  /// What the next forward pass reads; must live as long.
  void set_batch(const ops::PagedBatch* batch) { batch_ = batch; }
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const ops::RotaryTable& table) override;

 private:
  void copy_layer();
  void finish_copies();

  struct Copies {
    at::Tensor from, to;  // pages; undefined: none are left
    int64_t next_layer = 0;
  };

  std::vector<ops::KvPages> layers_;
  std::vector<uint8_t> touched_;  // of each page by copies not made yet: bits of copy()
  Copies copies_;
  const ops::PagedBatch* batch_ = nullptr;
};

}  // namespace caprl
