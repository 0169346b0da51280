// Attention of many sequences' tokens over keys and values in pages (Kwon et al., arXiv
// 2309.06180). Sequences may share pages; a page that neighbours in the batch share is read once
// for them (cascade).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "caprl/ops/rotary.h"

namespace caprl::ops {

namespace fused {
struct AttentionPlan;
}

inline constexpr int64_t kKvPageSize = 16;  // tokens

/// One layer's keys and values. The first dimension counts pages; the rest is the device's
/// business.
struct KvPages {
  at::Tensor k, v;
};
KvPages make_kv_pages(int64_t num_pages, int64_t kv_heads, int64_t head_dim,
                      at::TensorOptions options);
/// Bytes of one page of one layer, keys and values.
int64_t kv_page_bytes(int64_t kv_heads, int64_t head_dim, at::TensorOptions options);
/// pages[to(i)] = pages[from(i)]: int64 [n] each on the pages' device, no `to` twice or in `from`.
void copy_kv_pages(KvPages& pages, const at::Tensor& from, const at::Tensor& to);

/// Consecutive tokens of one sequence, the last ones of those that it has.
struct PagedChunk {
  std::span<const int32_t> pages;  // of the sequence, in order; must outlive the batch
  int64_t first = 0;               // place of the chunk's first token in the sequence
  int64_t count = 0;
};

/// The tokens of one forward pass, chunk after chunk, and what each of them sees: its sequence up
/// to itself. Chunks whose sequences begin with the same pages should be neighbours.
class PagedBatch {
 public:
  explicit PagedBatch(std::span<const PagedChunk> chunks) : PagedBatch(chunks, 0, false) {}
  /// Single tokens whose passes are recorded, with a table that turns them: `padding` more at the
  /// end see nothing, leave nothing and come out as zeros.
  static PagedBatch to_record(std::span<const PagedChunk> chunks, int64_t padding) {
    return PagedBatch(chunks, padding, true);
  }

  /// Neighbouring tokens whose sequences begin with the same `shared` pages.
  struct Block {
    int64_t first = 0, count = 0, shared = 0;
  };

  int64_t num_tokens() const { return static_cast<int64_t>(lengths_.size()); }
  const std::vector<int64_t>& lengths() const { return lengths_; }       // [N]
  const std::vector<const int32_t*>& tables() const { return tables_; }  // [N]
  const std::vector<int64_t>& slots() const { return slots_; }           // [N]
  const std::vector<PagedChunk>& chunks() const { return chunks_; }
  const std::vector<Block>& blocks() const { return blocks_; }

  bool is_to_record() const { return to_record_; }

  /// Made by a GPU's first layer for the others.
  mutable std::shared_ptr<const fused::AttentionPlan> plan;
  /// Takes the memory of an earlier batch's plan, of as many tokens, which recorded passes read;
  /// false: there is no room in it.
  bool take(const std::shared_ptr<const fused::AttentionPlan>& earlier);

 private:
  PagedBatch(std::span<const PagedChunk> chunks, int64_t padding, bool to_record);
  void add_blocks();

  std::vector<PagedChunk> chunks_;
  std::vector<int64_t> lengths_;  // keys that a token sees
  std::vector<const int32_t*> tables_;
  std::vector<int64_t> slots_;  // page · kKvPageSize + offset of its own key; −1: padding
  std::vector<Block> blocks_;
  bool to_record_;
};

/// Whether passes over such pages can be recorded.
bool can_record_attention(int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype);

/// Turns queries q [N, Hq, D] and keys k [N, Hkv, D] by `table` (undefined: they are), writes keys
/// and values v [N, Hkv, D] to their places; then attention with scale 1/√D → [N, Hq, D]. No
/// gradients. On a CPU (float and bfloat16, in inference mode) a token's result has the same bits
/// whatever else is in the batch. Error for shapes outside this contract.
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const PagedBatch& batch);

}  // namespace caprl::ops
