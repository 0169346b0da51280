// Attention of branched sequences by scaled dot product attention, branches padded to one length.
#pragma once
#include "caprl/models/branched.h"

namespace caprl {

class PaddedBranches {
 public:
  PaddedBranches(const BranchedLayout& layout, at::Device device);
  /// q [N, Hq, D], k and v [N, Hkv, D], turned → [N, Hq, D].
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

 private:
  void add_branches(const BranchedLayout& layout, int64_t first_row, std::vector<int64_t>& order,
                    at::Device device);
  const at::Tensor& additive_mask(at::ScalarType dtype);

  int64_t longest_trunk_ = 0, longest_branch_ = 0;
  at::Tensor trunks_;  // [trees · longest_trunk] packed indices of the prefixes, padded; undefined:
                       // all tokens as they lie
  at::Tensor branch_queries_;  // [branches · longest_branch]
  at::Tensor branch_keys_;  // [branches · (longest_trunk + longest_branch)]: prefix, then branch
  at::Tensor order_;        // [N] row of each packed token in the trunks' and branches' outputs;
                            // undefined: as they lie
  at::Tensor mask_;  // [branches, 1, longest_branch, longest_trunk + longest_branch] bool, true =
                     // may attend; undefined: every tree is one chain, a trunk of its own
  at::Tensor additive_mask_;  // mask_ as 0 and −∞ in the dtype of the queries seen last
};

}  // namespace caprl
