// Forward passes of single tokens, recorded once and replayed: without launches one by one a GPU
// does not wait for the host.
#pragma once
#include <map>

#include "caprl/models/model.h"
#include "caprl/ops/recording.h"
#include "paged_cache.h"

namespace caprl {

/// Recordings for some numbers of sequences; between them passes are padded.
class DecodeGraphs {
 public:
  /// Both must outlive it.
  DecodeGraphs(const Model& model, PagedCache& cache) : model_(model), cache_(cache) {}

  /// Whether the model's device can.
  static bool possible(const Model& model);

  /// The pass of one token of each of the chunks, ids [N] at positions [N] (t, h, w), → hidden
  /// states [N, H], valid until the next pass.
  at::Tensor run(std::span<const ops::PagedChunk> chunks, std::span<const int64_t> ids,
                 std::span<const std::array<int64_t, 3>> positions);

 private:
  /// Of one number of tokens.
  struct Graph {
    at::Tensor inputs;  // [4, tokens] int64: ids, then positions
    at::Tensor hidden;
    std::shared_ptr<const ops::fused::AttentionPlan> plan;
    ops::Recording recording;
    int64_t passes = 0;
  };

  void forward(Graph& graph) const;

  const Model& model_;
  PagedCache& cache_;
  std::map<int64_t, Graph> graphs_;  // by tokens
};

}  // namespace caprl
