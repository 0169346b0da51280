// Random groups for attention, and what every token of them sees.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "caprl/core/philox.h"
#include "caprl/ops/group_attention.h"

namespace caprl::ops {

inline int64_t num_tokens(const std::vector<GroupLengths>& groups) {
  int64_t total = 0;
  for (const GroupLengths& group : groups) {
    total += group.prefix;
    for (const int64_t length : group.branches) total += length;
  }
  return total;
}

/// Ragged groups: prefixes and branches of up to `most` tokens, none to five branches, some empty.
inline std::vector<GroupLengths> random_groups(uint64_t seed, int64_t most) {
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
  std::vector<GroupLengths> groups(1 + rng.below(4, 0));
  for (size_t g = 0; g < groups.size(); ++g) {
    groups[g].prefix = 1 + rng.below(most, g, 1);
    for (int64_t b = rng.below(6, g, 2); b > 0; --b)
      groups[g].branches.push_back(rng.below(most, g, static_cast<uint64_t>(2 + b)));
  }
  return groups;
}

/// 0 where a token (row) sees another, −∞ elsewhere.
inline at::Tensor dense_mask(const std::vector<GroupLengths>& groups) {
  const int64_t N = num_tokens(groups);
  at::Tensor mask = at::full({N, N}, -std::numeric_limits<double>::infinity(), at::kDouble);
  auto sees = mask.accessor<double, 2>();
  int64_t begin = 0;
  for (const GroupLengths& group : groups) {
    for (int64_t i = 0; i < group.prefix; ++i)
      for (int64_t j = 0; j <= i; ++j) sees[begin + i][begin + j] = 0;
    int64_t place = begin + group.prefix;
    for (const int64_t length : group.branches) {
      for (int64_t i = 0; i < length; ++i) {
        for (int64_t j = 0; j < group.prefix; ++j) sees[place + i][begin + j] = 0;
        for (int64_t j = 0; j <= i; ++j) sees[place + i][place + j] = 0;
      }
      place += length;
    }
    begin = place;
  }
  return mask;
}

/// The definition: every score, then the mask.
inline at::Tensor dense_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const at::Tensor& mask) {
  const auto heads = [&](const at::Tensor& x) {
    return x.repeat_interleave(q.size(1) / x.size(1), 1).transpose(0, 1);
  };
  const at::Tensor scores =
      at::matmul(heads(q), heads(k).transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
  return at::matmul(at::softmax(scores + mask, -1), heads(v)).transpose(0, 1);
}

struct AttentionRun {
  at::Tensor out, d_q, d_k, d_v;
};

/// attend(q, k, v) and the gradients of leaves q, k, v given that of its result.
template <class Attend>
AttentionRun run_attention(at::Tensor q, at::Tensor k, at::Tensor v, const at::Tensor& g,
                           Attend attend) {
  for (at::Tensor* x : {&q, &k, &v}) *x = x->detach().clone().requires_grad_(true);
  const at::Tensor out = attend(q, k, v);
  torch::autograd::backward({out}, {g});
  return {out.detach(), q.grad(), k.grad(), v.grad()};
}

}  // namespace caprl::ops
