#include <ATen/ATen.h>

#include "caprl/core/error.h"
#include "caprl/models/branched.h"

namespace caprl {
namespace {

std::shared_ptr<const ops::GroupPlan> make_plan(const BranchedLayout& layout, at::Device device) {
  std::vector<ops::GroupLengths> groups;
  for (const auto& tree : layout.trees) groups.push_back({tree.prefix, tree.branch_lengths});
  return std::make_shared<ops::GroupPlan>(groups, device);
}

}  // namespace

BranchedAttention::BranchedAttention(const BranchedLayout& layout, at::Device device)
    : num_tokens_(layout.num_tokens), plan_(make_plan(layout, device)) {}

at::Tensor BranchedAttention::attend(int64_t /*layer*/, const at::Tensor& q_unturned,
                                     const at::Tensor& k_unturned, const at::Tensor& v,
                                     const ops::RotaryTable& table) {
  if (q_unturned.size(0) != num_tokens_)
    throw Error("[attention] expected {} tokens, got {}", num_tokens_, q_unturned.size(0));
  const auto [q, k] = ops::rotate(q_unturned, k_unturned, table);
  return ops::group_attention(q, k, v, plan_);
}

}  // namespace caprl
