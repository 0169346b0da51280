#include "caprl/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"
#include "caprl/models/model.h"
#include "train/gradients.h"

namespace caprl {

void OptimizerConfig::fields(ConfigVisitor& v) {
  v.field("lr", lr, "peak learning rate", Range{0, 10});
  v.field("vision_tower_lr", vision_tower_lr,
          "of the vision tower, if it is trained; follows the same schedule; 0: lr", Range{0, 10});
  v.field("mm_projector_lr", mm_projector_lr,
          "of what leads from the vision tower to the decoder, likewise; 0: lr", Range{0, 10});
  v.field("betas", betas, "decay of the first and second moment", Range{0, 0.999999});
  v.field("eps", eps, "added to the root of the second moment", Range{0, 1});
  v.field("weight_decay", weight_decay, "decoupled weight decay of matrices", Range{0, 10});
  v.field("clip_grad", clip_grad, "largest gradient norm; 0: no clipping", Range{0, 1e9});
  v.field("offload", offload,
          "keep moments and master weights in the host's memory, from where blocks of them visit "
          "the GPU: 8 to 12 bytes of its memory less for each trained weight");
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
  if (lr == 0 && (vision_tower_lr > 0 || mm_projector_lr > 0))
    throw InputError(
        "config: 'optimizer.vision_tower_lr' and 'optimizer.mm_projector_lr' are set beside "
        "'optimizer.lr', which is 0; expected a positive one, or policy.train: merger");
}

AdamW::AdamW(Parameters& parameters, OptimizerConfig config, const Group& group,
             const ParallelConfig& parallel)
    : parameters_(parameters),
      config_(std::move(config)),
      group_(group),
      gradients_(std::make_unique<Gradients>(parameters, group, parallel)) {
  config_.validate();
  exp_avg_ = new_state();
  exp_avg_sq_ = new_state();
  step_ = at::zeros({1}, at::kLong);
  make_runs();
  const at::Tensor weights = parameters.trainable_buffer().detach();
  if (weights.scalar_type() == gradient().scalar_type()) return;
  master_ = new_state();
  for (const Run& run : runs_)
    master_.narrow(0, run.local, run.range.size)
        .copy_(weights.narrow(0, run.range.begin, run.range.size));
}

AdamW::~AdamW() = default;

bool AdamW::is_offloaded() const { return config_.offload && gradient().is_cuda(); }

at::Tensor AdamW::new_state() const {
  if (!is_offloaded()) return at::zeros_like(gradient());
  return at::zeros(gradient().sizes(),
                   at::TensorOptions(gradient().scalar_type()).pinned_memory(true));
}

void AdamW::make_runs() {
  for (const auto& piece : shards().pieces(shard()))
    for (const auto& slice : parameters_.trainable_slices()) {
      const Extent range = intersect(piece.range, {slice.offset, slice.size});
      if (range.size == 0) continue;
      const int64_t local = piece.local + range.begin - piece.range.begin;
      const bool decayed = parameters_.get(slice.name).dim() >= 2;
      const double ratio = lr_ratio(slice.name);
      if (!runs_.empty() && runs_.back().decayed == decayed && runs_.back().lr_ratio == ratio &&
          runs_.back().range.end() == range.begin &&
          runs_.back().local + runs_.back().range.size == local)
        runs_.back().range.size += range.size;
      else
        runs_.push_back({range, local, decayed, ratio});
    }
}

double AdamW::lr_ratio(const std::string& parameter) const {
  const auto ratio = [&](double lr) { return lr > 0 ? lr / config_.lr : 1; };
  switch (part_of(parameter)) {
    case ModelPart::kVision:
      return ratio(config_.vision_tower_lr);
    case ModelPart::kMerger:
      return ratio(config_.mm_projector_lr);
    case ModelPart::kLanguage:
      break;
  }
  return 1;
}

void AdamW::begin(int64_t passes) { gradients_->begin(passes); }
void AdamW::begin_pass() { gradients_->begin_pass(); }
void AdamW::end_pass() { gradients_->end_pass(); }
void AdamW::reduce() { gradients_->finish(); }
const at::Tensor& AdamW::gradient() const { return gradients_->mine(); }
double AdamW::grad_norm() const { return gradients_->norm(); }
const Shards& AdamW::shards() const { return gradients_->shards(); }
int AdamW::shard() const { return gradients_->shard(); }

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
  for (const Run& run : runs_) {
    pulse();
    update(run, terms);
  }
  send_weights();
}

void AdamW::update(const Run& run, ops::AdamWTerms terms) {
  const auto local = [&](const at::Tensor& t) { return t.narrow(0, run.local, run.range.size); };
  const at::Tensor stored =
      parameters_.trainable_buffer().detach().narrow(0, run.range.begin, run.range.size);
  if (!run.decayed) terms.weight_decay = 0;
  terms.lr *= run.lr_ratio;
  const auto step = [&](const ops::AdamWTensors& tensors) {
    return is_offloaded() ? ops::adamw_offloaded(tensors, terms) : ops::adamw(tensors, terms);
  };
  step({local(gradient()), master_.defined() ? local(master_) : stored, local(exp_avg_),
        local(exp_avg_sq_), master_.defined() ? stored : at::Tensor()});
}

void AdamW::send_weights() {
  if (shards().ranks() == 1) return;
  const at::Tensor weights = parameters_.trainable_buffer().detach();
  for (const Extent& bucket : shards().buckets()) {
    const Extent used = intersect(bucket, {0, shards().num_values()});
    const Extent part = shards().part(bucket, shard());
    const at::Tensor own = at::zeros({part.size}, weights.options());
    const Extent mine = intersect(part, used);
    if (mine.size > 0) own.narrow(0, 0, mine.size).copy_(weights.narrow(0, mine.begin, mine.size));
    if (used == bucket) {
      sent_weights_.push_back(group_.all_gather(weights.narrow(0, bucket.begin, bucket.size), own));
      continue;
    }
    // The last bucket's padding is no weight.
    const at::Tensor padded = at::empty({bucket.size}, weights.options());
    group_.all_gather(padded, own).wait();
    weights.narrow(0, used.begin, used.size).copy_(padded.narrow(0, 0, used.size));
  }
}

void AdamW::wait_for_weights() {
  for (Pending& pending : sent_weights_) pending.wait();
  sent_weights_.clear();
}

NamedTensors AdamW::state() const {
  NamedTensors state = {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}, {"step", step_}};
  if (master_.defined()) state.emplace_back("master", master_);
  return state;
}

namespace {

/// The tensor called `name`, of `size` values of the dtype of `like`.
const at::Tensor& find(const NamedTensors& state, const std::string& name, const at::Tensor& like,
                       int64_t size) {
  const auto found = std::ranges::find(state, name, &NamedTensors::value_type::first);
  if (found == state.end()) throw InputError("optimizer state: tensor '{}' is missing", name);
  const at::Tensor& tensor = found->second;
  if (tensor.dim() != 1 || tensor.numel() != size || tensor.scalar_type() != like.scalar_type())
    throw InputError("optimizer state: tensor '{}': expected {} values of {}, got {} of {}", name,
                     size, c10::toString(like.scalar_type()), tensor.numel(),
                     c10::toString(tensor.scalar_type()));
  return tensor;
}

/// Copies what part `from_shard` of `from` and part `to_shard` of `to` have in common.
void copy_pieces(const at::Tensor& source, const Shards& from, int from_shard,
                 const at::Tensor& target, const Shards& to, int to_shard) {
  for (const auto& theirs : from.pieces(from_shard))
    for (const auto& ours : to.pieces(to_shard)) {
      const Extent both = intersect(theirs.range, ours.range);
      if (both.size == 0) continue;
      target.narrow(0, ours.local + both.begin - ours.range.begin, both.size)
          .copy_(source.narrow(0, theirs.local + both.begin - theirs.range.begin, both.size));
    }
}

}  // namespace

void AdamW::load_state(const std::vector<NamedTensors>& states, const Shards& saved) {
  if (saved.num_values() != num_weights() || saved.ranks() != static_cast<int>(states.size()))
    throw InputError("optimizer state: expected {} trained weights in {} parts, got {} in {}",
                     num_weights(), states.size(), saved.num_values(), saved.ranks());
  const NamedTensors own = state();
  const auto size_of = [&](const at::Tensor& target) {
    return target.is_same(step_) ? 1 : saved.part_size();
  };
  for (const auto& [name, target] : own)
    for (const NamedTensors& state : states) find(state, name, target, size_of(target));

  at::NoGradGuard no_grad;
  step_.copy_(find(states[0], "step", step_, 1));
  for (const auto& [name, target] : own)
    if (!target.is_same(step_))
      for (int r = 0; r < saved.ranks(); ++r)
        copy_pieces(find(states[r], name, target, size_of(target)), saved, r, target, shards(),
                    shard());
}

}  // namespace caprl
