// Attention of single tokens over keys and values in pages (Kwon et al., arXiv 2309.06180), split
// over the keys (Flash-Decoding); keys that several sequences share are read once for all of them
// (cascade: Juravsky et al., arXiv 2402.05099), and the parts are merged by their log-sum-exp.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

inline constexpr int kAttentionPage = 16;      // keys of a page
inline constexpr int kAttentionRows = 64;      // tokens · (Hq / Hkv) of a part, at most
inline constexpr int kAttentionSegment = 256;  // keys of a part, at most
inline constexpr int kAttentionPartPages = kAttentionSegment / kAttentionPage;

/// Some tokens over some of the keys that all of them may see; a key at or beyond a token's length
/// is not seen. Without tokens it is passed over.
struct AttentionPart {
  int32_t first_token, num_tokens;
  int32_t first_key;  // whole pages from 0
  int32_t num_keys;
  int32_t index;                       // among the parts of each of its tokens
  int32_t pages[kAttentionPartPages];  // of its keys; beyond them any that exist
};

/// All pointers are the device's; q, the pages and `partial` 16-byte aligned.
struct PagedAttention {
  const Bf16* q = nullptr;  // [N, Hq, D]
  const Bf16* k_pages = nullptr;
  const Bf16* v_pages = nullptr;  // both [num_pages, kAttentionPage, Hkv, D]
  Bf16* out = nullptr;            // [N, Hq, D]; may be q
  int64_t num_tokens = 0, num_q_heads = 0, num_kv_heads = 0;  // N, Hq, Hkv
  int64_t head_dim = 0;                                       // D: 64 or 128
  float scale = 0;

  const AttentionPart* parts = nullptr;  // [P]
  const int32_t* lengths = nullptr;      // [N] keys that a token sees
  const int32_t* slots = nullptr;  // [N + 1]: token n's parts are slots[n] … slots[n + 1] − 1
  int64_t num_parts = 0, num_slots = 0;  // P; slots[N] or more

  float* partial = nullptr;  // paged_attention_workspace floats; what they hold does not matter
};

/// out = softmax(scale · q kᵀ) v: products of bfloat16 and sums in float; weights of values are
/// rounded to bfloat16. Every token's keys 0 … length − 1 are in its parts once; without any it
/// gets zeros.
void paged_attention(const PagedAttention& work, Stream stream);

int64_t paged_attention_workspace(int64_t num_slots, int64_t num_q_heads, int64_t head_dim);

}  // namespace caprl::kernels
