// Attention of groups: a prefix and branches that each continue it, which read the prefix's keys
// where they lie, once for all of them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace caprl::ops {

struct GroupLengths {
  int64_t prefix = 0;             // at least 1
  std::vector<int64_t> branches;  // may be 0
};

/// Where the parts of some groups' attention are, the same for all layers: group after group,
/// [prefix | branch 0 | branch 1 | …].
class GroupPlan {
 public:
  GroupPlan(std::span<const GroupLengths> groups, at::Device device);
  ~GroupPlan();

  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  std::unique_ptr<const Parts> parts_;
};

/// q [N, H, D], k and v [N, Hkv, D] of the groups' tokens → [N, H, D]. A prefix's token sees its
/// prefix causally; a branch's token the whole prefix, and its branch causally. Scale 1/√D.
/// Differentiable. The parts are joined by their log-sum-exp, and gradients are exact.
at::Tensor group_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::shared_ptr<const GroupPlan>& plan);

}  // namespace caprl::ops
