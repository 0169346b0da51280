// The loss head on kernels: per chunk of rows one product for the logits, one kernel that turns
// them into losses and, in their place, gradients, and two products for what the gradients are of.
#include <ATen/ATen.h>

#include "caprl/ops/upload.h"
#include "kernels/policy_rows.h"
#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {
namespace {

using kernels::Bf16;

/// Rows of logits begin at multiples of this: aligned for wide access and for tensor cores.
constexpr int64_t kRowAlignment = 16;

/// Room for the logits of one chunk; gradients replace them.
class LogitRows {
 public:
  LogitRows(const at::Tensor& hidden, const at::Tensor& weight, at::ScalarType dtype,
            int64_t max_rows)
      : vocab_(weight.size(0)),
        stride_((vocab_ + kRowAlignment - 1) / kRowAlignment * kRowAlignment),
        storage_(at::empty({std::min(max_rows, hidden.size(0)), stride_},
                           hidden.options().dtype(dtype).requires_grad(false))) {}

  at::Tensor logits(int64_t rows) const { return storage_.narrow(0, 0, rows).narrow(1, 0, vocab_); }
  /// [rows, V] of `dtype` that lie where the rows' logits begin.
  at::Tensor gradients(int64_t rows, at::ScalarType dtype) const {
    return storage_.narrow(0, 0, rows).view(dtype).narrow(1, 0, vocab_);
  }
  int64_t stride() const { return stride_; }
  int64_t vocab() const { return vocab_; }

 private:
  int64_t vocab_, stride_;
  at::Tensor storage_;
};

at::Tensor as_float(const at::Tensor& values) { return values.to(at::kFloat).contiguous(); }

class FusedLoss {
 public:
  FusedLoss(const LossProblem& problem, LossOutput& output)
      : problem_(problem),
        options_(problem.options),
        output_(output),
        logits_dtype_(problem.hidden.scalar_type() == at::kFloat ? at::kFloat
                                                                 : options_.logits_dtype),
        chunk_(options_.chunk_tokens * 4 / static_cast<int64_t>(at::elementSize(logits_dtype_))),
        logits_(problem.hidden, problem.head_weight, logits_dtype_, chunk_) {}

  /// Rows whose logits exist at a time.
  int64_t chunk() const { return chunk_; }

  /// Rows from `begin` to `end`, with or without gradients.
  void run(int64_t begin, int64_t end, bool with_gradient) {
    const int64_t count = end - begin;
    const at::Tensor hidden = problem_.hidden.slice(0, begin, end);
    at::Tensor logits = logits_.logits(count);
    multiply(hidden, problem_.head_weight.t(), logits);
    run_kernel(begin, count, with_gradient);
    if (!with_gradient) return;
    const at::Tensor d_logits = logits_.gradients(count, hidden.scalar_type());
    if (output_.d_hidden.defined()) {
      at::Tensor d_hidden = output_.d_hidden.slice(0, begin, end);
      multiply(d_logits, problem_.head_weight, d_hidden);
    }
    if (output_.d_weight.defined()) multiply(d_logits.t(), hidden, output_.d_weight, true);
  }

 private:
  void run_kernel(int64_t begin, int64_t count, bool with_gradient) {
    if (logits_dtype_ == at::kBFloat16)
      run_kernel<Bf16, Bf16>(begin, count, with_gradient);
    else if (problem_.hidden.scalar_type() == at::kBFloat16)
      run_kernel<float, Bf16>(begin, count, with_gradient);
    else
      run_kernel<float, float>(begin, count, with_gradient);
  }

  template <class Logit, class Gradient>
  void run_kernel(int64_t begin, int64_t count, bool with_gradient) {
    const auto part = [&](const at::Tensor& rows) {
      return rows.defined() ? data<float>(rows) + begin : nullptr;
    };
    kernels::PolicyRows<Logit> rows;
    rows.logits = data<Logit>(logits_.logits(count));
    rows.num_rows = count;
    rows.vocab = logits_.vocab();
    rows.stride = logits_.stride();
    rows.targets = data<int64_t>(problem_.input.targets) + begin;
    rows.temperature = static_cast<float>(options_.temperature);
    rows.logprobs = part(output_.logprobs);
    rows.entropy = part(output_.entropy);
    kernels::PolicyRowTerms terms;
    terms.advantages = part(problem_.input.advantages);
    terms.weights = part(problem_.input.weights);
    terms.old_logprobs = part(problem_.input.old_logprobs);
    terms.reference_logprobs = part(problem_.input.reference_logprobs);
    terms.terms = {static_cast<float>(options_.clip_ratio_low),
                   static_cast<float>(options_.clip_ratio_high),
                   static_cast<float>(options_.clip_ratio_c), static_cast<kernels::Kl>(options_.kl),
                   static_cast<float>(options_.kl_coef)};
    terms.entropy_coeff = static_cast<float>(options_.entropy_coeff);
    terms.with_gradient = with_gradient;
    terms.loss = part(output_.loss);
    terms.ratio = part(output_.ratio);
    terms.kl = part(output_.kl);
    terms.clipped = data<bool>(output_.clipped) + begin;
    kernels::policy_rows_gradient<Logit, Gradient>(rows, terms, stream_of(problem_.hidden));
  }

  const LossProblem& problem_;
  const PolicyLossOptions& options_;
  LossOutput& output_;
  at::ScalarType logits_dtype_;
  int64_t chunk_;
  LogitRows logits_;
};

/// Rows that can have a gradient first.
struct Order {
  at::Tensor rows;  // [N] int64; undefined: as they are
  int64_t num_active;
};

Order order_of(const LossProblem& problem, const LossOutput& output) {
  const int64_t count = problem.hidden.size(0);
  if (!output.d_hidden.defined() && !output.d_weight.defined()) return {{}, 0};
  at::Tensor active = problem.input.weights != 0;
  if (problem.options.kl == KlEstimator::kNone && problem.options.entropy_coeff == 0)
    active = active.logical_and(problem.input.advantages != 0);
  const at::Tensor first = active.nonzero().squeeze(1);
  if (first.size(0) == count) return {{}, count};
  const at::Tensor rows = at::cat({first, active.logical_not().nonzero().squeeze(1)});
  return {upload(rows, problem.hidden.device()), first.size(0)};
}

void run_rows(const LossProblem& problem, LossOutput& output, int64_t num_active) {
  FusedLoss loss(problem, output);
  const int64_t count = problem.hidden.size(0), chunk = loss.chunk();
  for (int64_t begin = 0; begin < num_active; begin += chunk)
    loss.run(begin, std::min(begin + chunk, num_active), true);
  for (int64_t begin = num_active; begin < count; begin += chunk)
    loss.run(begin, std::min(begin + chunk, count), false);
}

PolicyLossInput each(const PolicyLossInput& input, auto change) {
  return {change(input.targets), change(input.advantages), change(input.weights),
          change(input.old_logprobs), change(input.reference_logprobs)};
}

}  // namespace

void policy_loss(const LossProblem& problem, LossOutput& output) {
  LossProblem rows = problem;
  rows.hidden = problem.hidden.contiguous();
  rows.head_weight = problem.head_weight.contiguous();
  rows.input = each(problem.input, [&](const at::Tensor& t) {
    if (!t.defined()) return t;
    const at::Tensor here = upload(t, problem.hidden.device());
    return here.scalar_type() == at::kLong ? here.contiguous() : as_float(here);
  });
  const Order order = order_of(problem, output);  // which may have been on the host
  if (!order.rows.defined()) return run_rows(rows, output, order.num_active);

  const auto pick = [&](const at::Tensor& t) {
    return t.defined() ? t.index_select(0, order.rows) : t;
  };
  rows.hidden = pick(rows.hidden);
  rows.input = each(rows.input, pick);
  LossOutput ordered = output;
  const auto fields = {&LossOutput::loss,    &LossOutput::logprobs, &LossOutput::entropy,
                       &LossOutput::ratio,   &LossOutput::kl,       &LossOutput::clipped,
                       &LossOutput::d_hidden};
  for (const auto field : fields)
    if ((output.*field).defined()) ordered.*field = at::zeros_like(output.*field);
  run_rows(rows, ordered, order.num_active);
  for (const auto field : fields)
    if ((output.*field).defined()) (output.*field).index_copy_(0, order.rows, ordered.*field);
}

void logprobs(const LogprobProblem& problem, at::Tensor& logprobs, at::Tensor& entropy) {
  const at::Tensor hidden = problem.hidden.contiguous(), weight = problem.head_weight.contiguous();
  const at::Tensor targets = problem.targets.contiguous();
  const LogitRows buffer(hidden, weight, at::kFloat, problem.chunk_tokens);
  const int64_t count = hidden.size(0);
  for (int64_t begin = 0; begin < count; begin += problem.chunk_tokens) {
    const int64_t rows = std::min(problem.chunk_tokens, count - begin);
    at::Tensor logits = buffer.logits(rows);
    multiply(hidden.narrow(0, begin, rows), weight.t(), logits);
    kernels::PolicyRows<float> work;
    work.logits = data<float>(logits);
    work.num_rows = rows;
    work.vocab = buffer.vocab();
    work.stride = buffer.stride();
    work.targets = data<int64_t>(targets) + begin;
    work.temperature = static_cast<float>(problem.temperature);
    work.logprobs = data<float>(logprobs) + begin;
    work.entropy = entropy.defined() ? data<float>(entropy) + begin : nullptr;
    kernels::policy_rows_forward(work, stream_of(hidden));
  }
}

}  // namespace caprl::ops::fused
