#include <ATen/ATen.h>

#include "caprl/core/error.h"
#include "caprl/models/branched.h"
#include "caprl/ops/sequence_attention.h"
#include "padded_branches.h"

namespace caprl {
namespace {

std::shared_ptr<const ops::GroupPlan> make_plan(const BranchedLayout& layout, at::Device device) {
  std::vector<ops::GroupLengths> groups;
  for (const auto& tree : layout.trees) groups.push_back({tree.prefix, tree.branch_lengths});
  return std::make_shared<ops::GroupPlan>(groups, device);
}

}  // namespace

BranchedAttention::BranchedAttention(BranchedLayout layout, at::Device device)
    : layout_(std::move(layout)), device_(device) {}
BranchedAttention::~BranchedAttention() = default;

at::Tensor BranchedAttention::attend(int64_t /*layer*/, const at::Tensor& q_unturned,
                                     const at::Tensor& k_unturned, const at::Tensor& v,
                                     const ops::RotaryTable& table) {
  if (q_unturned.size(0) != layout_.num_tokens)
    throw Error("[attention] expected {} tokens, got {}", layout_.num_tokens, q_unturned.size(0));
  const auto [q, k] = ops::rotate(q_unturned, k_unturned, table);
  if (ops::has_flash_attention(q)) {
    if (!plan_) plan_ = make_plan(layout_, device_);
    return ops::group_attention(q, k, v, plan_);
  }
  if (!padded_) padded_ = std::make_unique<PaddedBranches>(layout_, device_);
  return padded_->attend(q, k, v);
}

}  // namespace caprl
