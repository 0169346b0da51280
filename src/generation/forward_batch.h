// The tokens of one forward pass, put together from the stretches of a plan.
#pragma once
#include <functional>
#include <vector>

#include "caprl/ops/paged_attention.h"
#include "job.h"

namespace caprl {

/// Keys and values of all layers.
class PagedCache : public Attention {
 public:
  PagedCache(const ModelTraits& traits, int64_t num_pages, at::TensorOptions options);
  static int64_t page_bytes(const ModelTraits& traits, at::TensorOptions options);

  void copy(const PageCopy& copy);
  /// What the next forward pass reads; must live as long.
  void set_batch(const ops::PagedBatch* batch) { batch_ = batch; }
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const ops::RotaryTable& table) override;

 private:
  std::vector<ops::KvPages> layers_;
  const ops::PagedBatch* batch_ = nullptr;
};

/// Prompts are embedded, their images encoded, when their first token is read.
class ForwardBatch {
 public:
  using JobOf = std::function<Job&(int64_t request)>;

  ForwardBatch(const Model& model, const std::vector<Stretch>& stretches, const JobOf& job);

  int64_t num_tokens() const { return static_cast<int64_t>(positions_.size()); }
  /// → hidden states [tokens, H].
  at::Tensor run(PagedCache& cache, const Scheduler& scheduler) const;

 private:
  void add_prompt(const Stretch& stretch, Job& job);
  void add_sample(const Stretch& stretch, const Job& job);
  void flush_ids();
  Embeddings embeddings() const;

  const Model& model_;
  std::vector<Stretch> stretches_;  // those with tokens
  std::vector<at::Tensor> pieces_;  // embeddings, in order
  std::vector<int64_t> ids_;        // of samples, since the last piece
  std::vector<std::array<int64_t, 3>> positions_;
  std::vector<at::Tensor> image_places_;
  std::vector<std::vector<at::Tensor>> deep_features_;  // [layers][pieces]
};

}  // namespace caprl
