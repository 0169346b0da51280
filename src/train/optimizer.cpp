#include "caprl/train/optimizer.h"

#include <cmath>

#include "caprl/core/error.h"

namespace caprl {
namespace {

/// Moves a bf16 gradient into its place of the fp32 buffer as soon as a backward pass has it.
struct AddToBuffer : torch::autograd::PostAccumulateGradHook {
  explicit AddToBuffer(at::Tensor view) : view(std::move(view)) {}
  void operator()(const torch::autograd::Variable& parameter) override {
    at::NoGradGuard no_grad;
    view.add_(parameter.grad());
    parameter.mutable_grad().reset();
  }
  at::Tensor view;
};

}  // namespace

void OptimizerConfig::fields(ConfigVisitor& v) {
  v.field("lr", lr, "peak learning rate", Range{0, 10});
  v.field("betas", betas, "decay of the first and second moment", Range{0, 0.999999});
  v.field("eps", eps, "added to the root of the second moment", Range{0, 1});
  v.field("weight_decay", weight_decay, "decoupled weight decay of matrices", Range{0, 10});
  v.field("clip_grad", clip_grad, "largest gradient norm; 0: no clipping", Range{0, 1e9});
  v.choice("lr_scheduler_type", lr_scheduler_type,
           {{"constant", LrSchedule::kConstant},
            {"linear", LrSchedule::kLinear},
            {"cosine", LrSchedule::kCosine},
            {"wsd", LrSchedule::kWsd}},
           "shape after the warm-up; wsd: constant, then linear decay");
  v.field("lr_warmup_steps", lr_warmup_steps, "steps of linear warm-up", Range{0, 1e9});
  v.field("min_lr_ratio", min_lr_ratio, "learning rate of the last step over lr", Range{0, 1});
  v.field("wsd_stable_ratio", wsd_stable_ratio, "share of the steps before wsd decays",
          Range{0, 1});
}

AdamW::AdamW(Parameters& parameters, OptimizerConfig config)
    : parameters_(parameters), config_(std::move(config)) {
  if (config_.betas.size() != 2)
    throw InputError("config: 'optimizer.betas': expected 2 numbers, got {}", config_.betas.size());
  const at::Tensor weights = parameters.trainable_buffer();
  const auto dtype = weights.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = weights.options().dtype(dtype).requires_grad(false);
  gradient_ = at::zeros({weights.numel()}, options);
  exp_avg_ = at::zeros({weights.numel()}, options);
  exp_avg_sq_ = at::zeros({weights.numel()}, options);
  step_ = at::zeros({1}, at::kLong);
  if (weights.scalar_type() != dtype) master_ = weights.detach().to(dtype);
  for (const auto& slice : parameters.trainable_slices()) {
    if (parameters.get(slice.name).dim() < 2) continue;
    if (!decayed_.empty() && decayed_.back().first + decayed_.back().second == slice.offset)
      decayed_.back().second += slice.size;
    else
      decayed_.emplace_back(slice.offset, slice.size);
  }
  attach_gradients();
}

AdamW::~AdamW() {
  for (const auto& slice : parameters_.trainable_slices()) {
    const at::Tensor& parameter = parameters_.get(slice.name);
    parameter.mutable_grad().reset();
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
}

void AdamW::attach_gradients() {
  for (const auto& slice : parameters_.trainable_slices()) {
    at::Tensor parameter = parameters_.get(slice.name);
    const at::Tensor view = gradient_.narrow(0, slice.offset, slice.size).view(parameter.sizes());
    if (parameter.scalar_type() == gradient_.scalar_type()) {
      // Autograd adds into a gradient that is there already, so the views stay where they are.
      parameter.mutable_grad() = view;
      continue;
    }
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<AddToBuffer>(view));
  }
}

void AdamW::zero_grad() { gradient_.zero_(); }

double AdamW::grad_norm() const {
  return std::sqrt(gradient_.square().sum(at::kDouble).item<double>());
}

void AdamW::step(double lr, double grad_norm) {
  at::NoGradGuard no_grad;
  if (config_.clip_grad > 0 && grad_norm > config_.clip_grad)
    gradient_.mul_(config_.clip_grad / (grad_norm + 1e-6));
  step_.add_(1);
  const auto count = static_cast<double>(step_.item<int64_t>());
  const double beta1 = config_.betas[0], beta2 = config_.betas[1];
  at::Tensor weights = master_.defined() ? master_ : parameters_.trainable_buffer().detach();
  for (const auto& [offset, size] : decayed_)
    weights.narrow(0, offset, size).mul_(1 - lr * config_.weight_decay);
  exp_avg_.lerp_(gradient_, 1 - beta1);
  exp_avg_sq_.mul_(beta2).addcmul_(gradient_, gradient_, 1 - beta2);
  const double correction1 = 1 - std::pow(beta1, count);
  const double correction2 = std::sqrt(1 - std::pow(beta2, count));
  const at::Tensor denominator = exp_avg_sq_.sqrt().div_(correction2).add_(config_.eps);
  weights.addcdiv_(exp_avg_, denominator, -lr / correction1);
  if (master_.defined()) parameters_.trainable_buffer().detach().copy_(master_);
}

NamedTensors AdamW::state() const {
  NamedTensors state = {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}, {"step", step_}};
  if (master_.defined()) state.emplace_back("master", master_);
  return state;
}

void AdamW::load_state(const NamedTensors& state) {
  at::NoGradGuard no_grad;
  for (auto& [name, target] : this->state()) {
    const auto found = std::find_if(state.begin(), state.end(), [&name = name](const auto& entry) {
      return entry.first == name;
    });
    if (found == state.end()) throw InputError("optimizer state: tensor '{}' is missing", name);
    if (found->second.sizes() != target.sizes() ||
        found->second.scalar_type() != target.scalar_type())
      throw InputError("optimizer state: tensor '{}': expected {} values, got {}", name,
                       target.numel(), found->second.numel());
    target.copy_(found->second);
  }
}

}  // namespace caprl
