// The tokens of one forward pass, put together from the stretches of a plan.
#pragma once
#include <functional>
#include <vector>

#include "decode_graphs.h"
#include "job.h"
#include "paged_cache.h"

namespace caprl {

/// Prompts with images are embedded, their images encoded, when their first token is read.
class ForwardBatch {
 public:
  using JobOf = std::function<Job&(int64_t request)>;

  ForwardBatch(const Model& model, const std::vector<Stretch>& stretches, const JobOf& job);

  int64_t num_tokens() const { return static_cast<int64_t>(positions_.size()); }
  /// → hidden states [tokens, H]. Once. `graphs`, unless null, runs passes of single tokens.
  at::Tensor run(PagedCache& cache, const Scheduler& scheduler, DecodeGraphs* graphs);

 private:
  void add_prompt(const Stretch& stretch, Job& job);
  void add_embedded(const Stretch& stretch, Job& job);
  void add_sample(const Stretch& stretch, const Job& job);
  void flush_ids();
  Embeddings embeddings();

  const Model& model_;
  std::vector<Stretch> stretches_;  // those with tokens
  std::vector<at::Tensor> pieces_;  // embeddings, in order
  std::vector<int64_t> ids_;        // since the last piece
  std::vector<std::array<int64_t, 3>> positions_;
  std::vector<at::Tensor> image_places_;
  std::vector<std::vector<at::Tensor>> deep_features_;  // [layers][pieces]
};

}  // namespace caprl
