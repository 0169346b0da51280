#include "caprl/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"

namespace caprl {
namespace {

/// Moves a bf16 gradient into its place of the fp32 buffer as soon as a backward pass has it.
struct AddToBuffer : torch::autograd::PostAccumulateGradHook {
  explicit AddToBuffer(at::Tensor view) : view(std::move(view)) {}
  void operator()(const torch::autograd::Variable& parameter) override {
    if (!parameter.grad().defined()) return;  // an operation has added it to the buffer itself
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

void OptimizerConfig::validate() const {
  if (betas.size() != 2)
    throw InputError("config: 'optimizer.betas': expected 2 numbers, got {}", betas.size());
}

AdamW::AdamW(Parameters& parameters, OptimizerConfig config)
    : parameters_(parameters), config_(std::move(config)) {
  config_.validate();
  const at::Tensor weights = parameters.trainable_buffer();
  const auto dtype = weights.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = weights.options().dtype(dtype).requires_grad(false);
  gradient_ = at::zeros({weights.numel()}, options);
  exp_avg_ = at::zeros({weights.numel()}, options);
  exp_avg_sq_ = at::zeros({weights.numel()}, options);
  step_ = at::zeros({1}, at::kLong);
  if (weights.scalar_type() != dtype) master_ = weights.detach().to(dtype);
  for (const auto& slice : parameters.trainable_slices()) {
    const bool decayed = parameters.get(slice.name).dim() >= 2;
    if (!runs_.empty() && runs_.back().decayed == decayed)
      runs_.back().size += slice.size;
    else
      runs_.push_back({slice.offset, slice.size, decayed});
  }
  attach_gradients();
}

AdamW::~AdamW() {
  parameters_.attach_gradients({});
  for (const auto& slice : parameters_.trainable_slices()) {
    const at::Tensor& parameter = parameters_.get(slice.name);
    parameter.mutable_grad().reset();
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
}

void AdamW::attach_gradients() {
  parameters_.attach_gradients(gradient_);
  for (const auto& slice : parameters_.trainable_slices()) {
    at::Tensor parameter = parameters_.get(slice.name);
    const at::Tensor view = parameters_.gradient(slice.name);
    if (parameter.scalar_type() == gradient_.scalar_type()) {
      // Autograd adds into a gradient that is there already, so the views stay where they are.
      parameter.mutable_grad() = view;
      continue;
    }
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<AddToBuffer>(view));
  }
}

void AdamW::zero_grad() { gradient_.zero_(); }

double AdamW::grad_norm() const { return std::sqrt(ops::squared_norm(gradient_).item<double>()); }

void AdamW::step(double lr, double grad_norm) {
  if (!std::isfinite(grad_norm))
    throw Error("[AdamW] expected a finite gradient norm, got {}", grad_norm);
  at::NoGradGuard no_grad;
  step_.add_(1);
  const auto count = static_cast<double>(step_.item<int64_t>());
  const double beta1 = config_.betas[0], beta2 = config_.betas[1];
  const bool clips = config_.clip_grad > 0 && grad_norm > config_.clip_grad;
  const ops::AdamWTerms terms{.lr = lr,
                              .beta1 = beta1,
                              .beta2 = beta2,
                              .eps = config_.eps,
                              .weight_decay = config_.weight_decay,
                              .correction1 = 1 - std::pow(beta1, count),
                              .correction2 = 1 - std::pow(beta2, count),
                              .gradient_scale = clips ? config_.clip_grad / (grad_norm + 1e-6) : 1};
  for (const Run& run : runs_) update(run, terms);
}

void AdamW::update(const Run& run, ops::AdamWTerms terms) {
  const auto part = [&](const at::Tensor& t) { return t.detach().narrow(0, run.offset, run.size); };
  const at::Tensor stored = part(parameters_.trainable_buffer());
  if (!run.decayed) terms.weight_decay = 0;
  ops::adamw({part(gradient_), master_.defined() ? part(master_) : stored, part(exp_avg_),
              part(exp_avg_sq_), master_.defined() ? stored : at::Tensor()},
             terms);
}

NamedTensors AdamW::state() const {
  NamedTensors state = {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}, {"step", step_}};
  if (master_.defined()) state.emplace_back("master", master_);
  return state;
}

void AdamW::load_state(const NamedTensors& state) {
  const NamedTensors own = this->state();
  std::vector<at::Tensor> loaded;
  for (const auto& [name, target] : own) {
    const auto found = std::find_if(state.begin(), state.end(), [&name = name](const auto& entry) {
      return entry.first == name;
    });
    if (found == state.end()) throw InputError("optimizer state: tensor '{}' is missing", name);
    const at::Tensor& source = found->second;
    if (source.sizes() != target.sizes() || source.scalar_type() != target.scalar_type())
      throw InputError("optimizer state: tensor '{}': expected {} values of {}, got {} of {}", name,
                       target.numel(), c10::toString(target.scalar_type()), source.numel(),
                       c10::toString(source.scalar_type()));
    loaded.push_back(source);
  }
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < own.size(); ++i) at::Tensor(own[i].second).copy_(loaded[i]);
}

}  // namespace caprl
