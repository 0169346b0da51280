#include "loss_inputs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <fstream>

#include "caprl/core/error.h"
#include "caprl/ops/policy_loss.h"

namespace caprl::bench {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kLogitDeviation = 4, kReferenceDeviation = 0.1;
constexpr int64_t kTokensPerSequence = 1024, kGroup = 8, kChecked = 64, kChunk = 1024;

/// Draws from the softmax: the arg-max of logit + Gumbel noise.
at::Tensor draw_targets(const at::Tensor& hidden, const at::Tensor& weight) {
  std::vector<at::Tensor> targets;
  for (const at::Tensor& rows : hidden.split(kChunk)) {
    const at::Tensor logits = at::mm(rows, weight.t()).to(at::kFloat);
    const at::Tensor gumbel = at::empty_like(logits).exponential_().log_().neg_();
    targets.push_back((logits + gumbel).argmax(1));
  }
  return at::cat(targets);
}

at::Tensor group_advantages(int64_t rows, at::TensorOptions options) {
  const at::Tensor sequence =
      at::arange(rows, options.dtype(at::kLong)).div(kTokensPerSequence, "floor");
  const double middle = (kGroup - 1) / 2.0, deviation = std::sqrt((kGroup * kGroup - 1) / 12.0);
  return (sequence.remainder(kGroup).to(at::kFloat) - middle) / deviation;
}

}  // namespace

LossInputs LossInputs::make(const LossShape& shape) {
  const at::NoGradGuard no_grad;
  const auto device = at::TensorOptions(at::kCUDA).dtype(at::kFloat);
  at::manual_seed(kSeed);
  LossInputs inputs;
  inputs.weight = at::randn({shape.vocab, shape.hidden}, device)
                      .mul_(kLogitDeviation / std::sqrt(static_cast<double>(shape.hidden)))
                      .to(at::kBFloat16);
  inputs.hidden = at::randn({shape.rows, shape.hidden}, device).to(at::kBFloat16);
  inputs.targets = draw_targets(inputs.hidden, inputs.weight);
  inputs.advantages = group_advantages(shape.rows, device);
  inputs.reference = ops::token_logprobs(inputs.hidden, inputs.weight, inputs.targets, 1.0) +
                     kReferenceDeviation * at::randn({shape.rows}, device);
  return inputs;
}

void LossInputs::write(const std::string& folder) const {
  write_raw(folder + "/targets.i64", targets);
  write_raw(folder + "/reference.f32", reference);
}

int64_t checksum(const at::Tensor& bfloat16_values) {
  return bfloat16_values.view(at::kShort).sum(at::kLong).item<int64_t>();
}

void write_raw(const std::string& path, const at::Tensor& values) {
  const at::Tensor host = values.contiguous().cpu();
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(host.const_data_ptr()),
             static_cast<std::streamsize>(host.nbytes()));
  file.close();
  if (!file) throw Error("[bench] could not write {}", path);
}

at::Tensor checked_rows(int64_t rows, at::TensorOptions options) {
  return at::arange(kChecked, options.dtype(at::kLong)).mul(rows).div(kChecked, "floor");
}

at::Tensor checked_ids(const at::Tensor& targets, int64_t rows, int64_t vocab) {
  const at::Tensor of_rows = targets.index_select(0, checked_rows(rows, targets.options()));
  const at::Tensor spaced =
      at::arange(kChecked, targets.options()).mul(vocab).div(kChecked, "floor");
  return at::cat({of_rows, spaced});
}

}  // namespace caprl::bench
