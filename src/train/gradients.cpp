#include "train/gradients.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>

#include "caprl/ops/adamw.h"

namespace caprl {
namespace {

/// Buckets on their way at a time; each holds memory.
constexpr size_t kMaxSent = 4;

at::ScalarType sum_dtype(const Parameters& parameters) {
  return parameters.trainable_buffer().scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

struct Gradients::Hook : torch::autograd::PostAccumulateGradHook {
  Hook(Gradients& owner, Slot& slot) : owner(owner), slot(slot) {}
  void operator()(const torch::autograd::Variable&) override { owner.arrived(slot); }
  Gradients& owner;
  Slot& slot;
};

Gradients::Gradients(Parameters& parameters, const Group& group, const ParallelConfig& config)
    : parameters_(parameters),
      group_(group),
      options_(
          at::TensorOptions(parameters.trainable_buffer().device()).dtype(sum_dtype(parameters))),
      reduce_dtype_(config.reduce_dtype == ReduceDtype::kBFloat16 ? at::kBFloat16
                                                                  : sum_dtype(parameters)),
      everything_(!reduces() || config.zero_stage == 0),
      shards_(parameters.num_trainable()) {
  const auto bytes = static_cast<int64_t>(options_.dtype().itemsize());
  make_buckets(std::max<int64_t>(config.bucket_mb * 1000000 / bytes, 1));
  make_slots();
  if (everything_ || config.zero_stage == 1)
    keep(0, buckets_.size() - 1);
  else
    keep_what_operations_add_to();
}

Gradients::~Gradients() {
  for (Slot& slot : slots_) {
    slot.parameter.mutable_grad().reset();
    torch::autograd::impl::set_post_acc_grad_hooks(slot.parameter, nullptr);
  }
  for (const auto& slice : parameters_.trainable_slices())
    parameters_.attach_gradient(slice.name, {});
}

void Gradients::make_buckets(int64_t bucket_values) {
  const int64_t values = parameters_.num_trainable();
  const Shards cut = reduces() ? Shards(values, group_.size(), bucket_values) : shards_;
  if (!everything_) shards_ = cut;
  int64_t local = 0;
  for (const Extent& range : cut.buckets()) {
    Bucket& bucket = buckets_.emplace_back();
    bucket.range = range;
    bucket.local = local;
    local += cut.part(range, group_.rank()).size;
  }
  if (buckets_.empty()) buckets_.push_back({});
  if (!everything_) mine_ = at::zeros({shards_.part_size()}, options_);
}

void Gradients::make_slots() {
  const auto bucket_of = [&](int64_t place) {
    size_t b = 0;
    while (buckets_[b].range.end() <= place) ++b;
    return b;
  };
  for (const auto& slice : parameters_.trainable_slices())
    slots_.push_back({parameters_.get(slice.name),
                      {slice.offset, slice.size},
                      bucket_of(slice.offset),
                      bucket_of(slice.offset + slice.size - 1)});
  for (Slot& slot : slots_)
    torch::autograd::impl::set_post_acc_grad_hooks(slot.parameter,
                                                   std::make_unique<Hook>(*this, slot));
}

void Gradients::keep(size_t first, size_t last) {
  const int64_t begin = buckets_[first].range.begin;
  const at::Tensor memory = at::zeros({buckets_[last].range.end() - begin}, options_);
  for (size_t b = first; b <= last; ++b) {
    buckets_[b].kept = true;
    buckets_[b].values = memory.narrow(0, buckets_[b].range.begin - begin, buckets_[b].range.size);
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.first < first || slot.last > last) continue;
    const at::Tensor view =
        memory.narrow(0, slot.range.begin - begin, slot.range.size).view(slot.parameter.sizes());
    parameters_.attach_gradient(parameters_.trainable_slices()[i].name, view,
                                [this, &slot] { arrived(slot); });
    slot.in_place = slot.parameter.scalar_type() == view.scalar_type();
    if (slot.in_place) slot.parameter.mutable_grad() = view;
  }
  if (everything_) mine_ = memory.narrow(0, 0, parameters_.num_trainable());
}

void Gradients::keep_what_operations_add_to() {
  std::vector<std::pair<size_t, size_t>> runs;  // of buckets, in order
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters_.trainable_slices()[i].name;
    if (name != kEmbeddingName && name != kHeadName) continue;
    if (!runs.empty() && slots_[i].first <= runs.back().second)
      runs.back().second = slots_[i].last;
    else
      runs.emplace_back(slots_[i].first, slots_[i].last);
  }
  for (const auto& [first, last] : runs) keep(first, last);
}

void Gradients::begin(int64_t passes) {
  at::NoGradGuard no_grad;
  mine_.zero_();
  for (Bucket& bucket : buckets_)
    if (bucket.kept) bucket.values.zero_();
  rounds_left_ = std::max<int64_t>(passes, 1);
  const bool sums_every_pass =
      std::any_of(buckets_.begin(), buckets_.end(), [](const Bucket& b) { return !b.kept; });
  if (reduces() && sums_every_pass) {
    const at::Tensor rounds = at::full({1}, rounds_left_, options_.dtype(at::kLong));
    group_.all_reduce(rounds, Reduction::kMax).wait();
    rounds_left_ = rounds.item<int64_t>();
  }
}

void Gradients::begin_pass() {
  if (!reduces()) return;
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  for (const Slot& slot : slots_)
    for (size_t b = slot.first; b <= slot.last; ++b) ++buckets_[b].missing;
  next_ = static_cast<int64_t>(buckets_.size()) - 1;
}

void Gradients::arrived(Slot& slot) {
  at::NoGradGuard no_grad;
  if (!slot.in_place) move_to_buckets(slot);
  if (next_ < 0) return;
  for (size_t b = slot.first; b <= slot.last; ++b) --buckets_[b].missing;
  send_complete();
}

void Gradients::move_to_buckets(Slot& slot) {
  if (!slot.parameter.grad().defined()) return;  // an operation has added it itself
  const at::Tensor gradient = slot.parameter.grad().flatten();
  for (size_t b = slot.first; b <= slot.last; ++b) {
    Bucket& bucket = buckets_[b];
    if (!bucket.values.defined()) bucket.values = at::zeros({bucket.range.size}, options_);
    const Extent part = intersect(slot.range, bucket.range);
    bucket.values.narrow(0, part.begin - bucket.range.begin, part.size)
        .add_(gradient.narrow(0, part.begin - slot.range.begin, part.size));
  }
  slot.parameter.mutable_grad().reset();
}

void Gradients::send_complete() {
  for (; next_ >= 0 && buckets_[next_].missing <= 0; --next_) send(buckets_[next_]);
}

void Gradients::send(Bucket& bucket) {
  if (bucket.kept && rounds_left_ > 1) return;  // more is to come
  if (!bucket.values.defined()) bucket.values = at::zeros({bucket.range.size}, options_);
  const at::Tensor values = bucket.values.to(reduce_dtype_);
  Sent sent;
  if (everything_) {
    sent = {group_.all_reduce(values), values, bucket.values, false};
  } else {
    const int64_t size = bucket.range.size / group_.size();
    const at::Tensor part = at::empty({size}, values.options());
    sent = {group_.reduce_scatter(part, values), part, mine_.narrow(0, bucket.local, size), true};
  }
  if (!bucket.kept) bucket.values.reset();
  sent_.push_back(std::move(sent));
  if (sent_.size() > kMaxSent) receive_oldest();
}

void Gradients::receive_oldest() {
  Sent& sent = sent_.front();
  sent.pending.wait();
  if (sent.adds)
    sent.target.add_(sent.sums);
  else if (!sent.target.is_same(sent.sums))
    sent.target.copy_(sent.sums);
  sent_.pop_front();
}

void Gradients::end_pass() {
  if (!reduces()) return;
  at::NoGradGuard no_grad;
  for (; next_ >= 0; --next_) send(buckets_[next_]);
  --rounds_left_;
}

void Gradients::finish() {
  at::NoGradGuard no_grad;
  while (reduces() && rounds_left_ > 0) {  // passes that other ranks have and this one has not
    begin_pass();
    end_pass();
  }
  while (!sent_.empty()) receive_oldest();
}

double Gradients::norm() const {
  const at::Tensor squares = ops::squared_norm(mine_);
  if (!everything_) group_.all_reduce(squares).wait();
  return std::sqrt(squares.item<double>());
}

}  // namespace caprl
