// Keys and values of a decode batch. A prompt's are held once and shared by its samples.
// Shape suffixes: R rows (one prompt each), W samples a row, S = R · W slots, K key-value heads,
// P longest prompt, T columns for suffixes and generated tokens, D head dimension.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "caprl/models/branched.h"
#include "caprl/models/model.h"
#include "slot_grid.h"

namespace caprl {

struct CacheSizes {
  int64_t width = 0;                    // samples a row
  std::vector<int64_t> prompt_lengths;  // [R]
  std::vector<int64_t> suffix_lengths;  // [S], 0 for holes
  int64_t max_new_tokens = 0;
};

/// The attention of decode steps, in which every slot has one query. Suffixes end, and generated
/// tokens stand, in the same columns for all slots, so a step writes one column. Memory for
/// generated tokens grows by doubling. Not thread safe; no gradients.
class KvCache : public Attention {
 public:
  KvCache(const ModelTraits& traits, const CacheSizes& sizes, at::TensorOptions options);

  /// Opens the column of the next token; before each decode step.
  void advance();
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                    const at::Tensor& v) override;
  /// Rearranges rows and slots, forgetting the others.
  void select(const Compaction& compaction);

  int64_t num_slots() const { return own_mask_.size(0) / num_kv_heads_; }
  int64_t capacity() const { return own_mask_.size(2); }

 private:
  friend class PrefillAttention;
  struct Layer {
    at::Tensor prompt_k, prompt_v;  // [R, K, P, D]
    at::Tensor own_k, own_v;        // [S, K, T, D]
  };
  void grow();

  std::vector<Layer> layers_;
  at::Tensor prompt_mask_;  // [R · K, 1, P]: 0, or −∞ past a prompt's end
  at::Tensor own_mask_;     // [S · K, 1, T]: 0, or −∞ before a suffix's begin
  int64_t num_kv_heads_, width_;
  int64_t used_;  // columns in use, the open one included
  int64_t max_columns_;
};

/// The attention of reading prompts and suffixes, which leaves their keys and values in the cache.
/// Tree t of the layout is the cache's row first_row + t, branch b its sample b. The cache must
/// live as long, and no decode step may have been made.
class PrefillAttention : public BranchedAttention {
 public:
  PrefillAttention(KvCache& cache, const BranchedLayout& layout, int64_t first_row,
                   at::Device device);
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                    const at::Tensor& v) override;

 private:
  /// Packed tokens and the places they go to.
  struct Moves {
    at::Tensor tokens, rows, columns;
  };
  KvCache& cache_;
  Moves prompts_, suffixes_;
};

}  // namespace caprl
