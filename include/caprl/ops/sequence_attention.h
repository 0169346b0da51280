// Attention of sequences that lie side by side without padding, and its parts: what a query has
// seen of some keys can be joined with what it has seen of others by their log-sum-exp (Dao,
// arXiv 2205.14135).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace caprl::ops {

/// Where sequences lie in a packed dimension.
struct Sequences {
  Sequences() = default;
  /// One after another from row 0. Lengths may be 0.
  Sequences(std::span<const int64_t> lengths, at::Device device);

  std::vector<int64_t> bounds{0};  // [S + 1] where each begins, and the last one's end
  at::Tensor bounds_on_device;     // [S + 1] int32
  int64_t longest = 0;
};

struct Attended {
  at::Tensor out;  // [N, H, D]
  at::Tensor lse;  // [H, N] float (double for double): log of the sum of exp of the scores
};

/// Sequence s of queries q [N, H, D] over sequence s of keys k and values v [M, Hkv, D] (Hkv
/// divides H), scale 1/√D; `causal`: the last query sees all keys, the one before it all but the
/// last, and so on. No gradients are recorded. By flash attention where has_flash_attention(), else
/// in float or double.
Attended attend_sequences(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const Sequences& queries, const Sequences& keys, bool causal);

struct AttentionGradients {
  at::Tensor q, k, v;
};
/// Of the part that these keys have in `attended`, which may have been joined with others, given
/// the gradient g [N, H, D] of its `out`.
AttentionGradients attend_sequences_backward(const at::Tensor& g, const at::Tensor& q,
                                             const at::Tensor& k, const at::Tensor& v,
                                             const Attended& attended, const Sequences& queries,
                                             const Sequences& keys, bool causal);

/// `a` becomes what both parts' keys give together; its tensors may be views.
void join(Attended& a, const Attended& b);

/// CUDA, bfloat16, heads of a multiple of 8 up to 256.
bool has_flash_attention(const at::Tensor& q);

}  // namespace caprl::ops
