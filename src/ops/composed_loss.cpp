// The loss head of library products and RowSoftmax.
#include <ATen/ATen.h>

#include "caprl/core/pulse.h"
#include "kernels/math/policy_math.h"
#include "ops/library_linear.h"
#include "ops/loss_rows.h"
#include "ops/row_softmax.h"

namespace caprl::ops {
namespace {

/// The products of the head. bf16 models multiply with fp32 results: rounding a logit of 20 to bf16
/// is off by 0.06.
class Head {
 public:
  Head(const at::Tensor& weight, at::ScalarType real)
      : weight_(weight), real_(real), wide_(weight.is_cuda() ? weight : weight.to(real)) {}

  at::Tensor logits(const at::Tensor& hidden) const { return product(hidden, wide_); }
  at::Tensor d_hidden(const at::Tensor& d_logits) const {
    return product(d_logits.to(wide_.scalar_type()), wide_.t()).to(weight_.scalar_type());
  }
  /// d_weight += d_logitsᵀ · hidden.
  void add_d_weight(const at::Tensor& d_logits, const at::Tensor& hidden,
                    at::Tensor& d_weight) const {
    d_weight.addmm_(d_logits.t(), hidden.to(real_));
  }

 private:
  /// a · bᵀ.
  at::Tensor product(const at::Tensor& a, const at::Tensor& b) const {
    if (b.scalar_type() == real_) return library_linear(a.to(real_), b);
    return at::mm(a, b.t(), real_);
  }
  at::Tensor weight_;
  at::ScalarType real_;
  at::Tensor wide_;  // on the CPU, whose bf16 products round their results
};

/// What the loss functions give for each row.
struct TokenTerms {
  at::Tensor loss, d_logp, ratio, clipped, kl;  // [N]; loss and d_logp include the weights
};

template <class Real>
TokenTerms token_terms(const at::Tensor& logprobs, const PolicyLossInput& input,
                       const PolicyLossOptions& options) {
  const auto host = [&](const at::Tensor& t) {
    return t.defined() ? t.to(at::kCPU, logprobs.scalar_type()).contiguous() : at::Tensor();
  };
  const at::Tensor logp = host(logprobs), old = host(input.old_logprobs),
                   ref = host(input.reference_logprobs), advantages = host(input.advantages),
                   weights = host(input.weights);
  const kernels::PolicyTerms<Real> terms{
      static_cast<Real>(options.clip_ratio_low), static_cast<Real>(options.clip_ratio_high),
      static_cast<Real>(options.clip_ratio_c), static_cast<kernels::Kl>(options.kl),
      static_cast<Real>(options.kl_coef)};
  const int64_t count = logp.numel();
  TokenTerms out{at::zeros_like(logp), at::zeros_like(logp), at::ones_like(logp),
                 at::zeros({count}, at::kBool), at::zeros_like(logp)};
  const Real* logp_data = logp.const_data_ptr<Real>();
  const Real* weight_data = weights.const_data_ptr<Real>();
  for (int64_t i = 0; i < count; ++i) {
    const Real weight = weight_data[i];
    if (weight == 0) continue;  // whatever stands in the other inputs, NaN included
    const Real old_logp = old.defined() ? old.const_data_ptr<Real>()[i] : logp_data[i];
    const Real reference = ref.defined() ? ref.const_data_ptr<Real>()[i] : logp_data[i];
    const auto token = kernels::policy_token_loss(logp_data[i], old_logp, reference,
                                                  advantages.const_data_ptr<Real>()[i], terms);
    out.loss.data_ptr<Real>()[i] = weight * token.loss;
    out.d_logp.data_ptr<Real>()[i] = weight * token.d_logp;
    out.ratio.data_ptr<Real>()[i] = token.ratio;
    out.clipped.data_ptr<bool>()[i] = token.clipped;
    out.kl.data_ptr<Real>()[i] = token.kl;
  }
  for (at::Tensor* t : {&out.loss, &out.d_logp, &out.ratio, &out.clipped, &out.kl})
    *t = t->to(logprobs.device());
  return out;
}

TokenTerms token_terms(const at::Tensor& logprobs, const PolicyLossInput& input,
                       const PolicyLossOptions& options) {
  return logprobs.scalar_type() == at::kDouble ? token_terms<double>(logprobs, input, options)
                                               : token_terms<float>(logprobs, input, options);
}

/// One chunk of rows after another.
class ComposedLoss {
 public:
  ComposedLoss(const LossProblem& problem, LossOutput& output)
      : problem_(problem),
        options_(problem.options),
        output_(output),
        head_(problem.head_weight, statistics_dtype(problem.hidden)) {}

  void run(int64_t begin, int64_t end) {
    const at::Tensor hidden = problem_.hidden.slice(0, begin, end);
    const PolicyLossInput part = slice(problem_.input, begin, end);
    RowSoftmax softmax(rounded(head_.logits(hidden)), part.targets, options_.temperature);
    TokenTerms terms = token_terms(softmax.logprobs(), part, options_);
    at::Tensor bonus;
    if (options_.entropy_coeff != 0) {
      bonus = part.weights.to(softmax.entropy().options()) * options_.entropy_coeff;
      terms.loss = terms.loss - at::where(bonus == 0, 0.0, bonus * softmax.entropy());
    }
    const auto put = [&](const at::Tensor& all, const at::Tensor& values) {
      all.slice(0, begin, end).copy_(values);
    };
    put(output_.loss, terms.loss);
    put(output_.logprobs, softmax.logprobs());
    put(output_.entropy, softmax.entropy());
    put(output_.ratio, terms.ratio);
    put(output_.kl, terms.kl);
    put(output_.clipped, terms.clipped);
    if (output_.d_hidden.defined() || output_.d_weight.defined())
      add_gradients(begin, hidden, std::move(softmax), terms.d_logp, bonus);
  }

 private:
  static PolicyLossInput slice(const PolicyLossInput& input, int64_t begin, int64_t end) {
    const auto part = [&](const at::Tensor& t) { return t.defined() ? t.slice(0, begin, end) : t; };
    return {part(input.targets), part(input.advantages), part(input.weights),
            part(input.old_logprobs), part(input.reference_logprobs)};
  }

  at::Tensor rounded(const at::Tensor& logits) const {
    const bool rounds =
        problem_.hidden.scalar_type() == at::kBFloat16 && options_.logits_dtype == at::kBFloat16;
    return rounds ? logits.copy_(logits.to(at::kBFloat16)) : logits;
  }

  /// Rows without a gradient do not enter the products.
  void add_gradients(int64_t begin, const at::Tensor& hidden, RowSoftmax softmax,
                     const at::Tensor& d_logp, const at::Tensor& bonus) {
    const at::Tensor has_one = bonus.defined() ? (d_logp != 0) | (bonus != 0) : d_logp != 0;
    const at::Tensor active = has_one.nonzero().squeeze(1);
    if (active.numel() == 0) return;
    const at::Tensor d_logits = std::move(softmax).backward(active, d_logp, bonus);
    const bool all = active.numel() == d_logp.numel();
    const at::Tensor picked = all ? hidden : hidden.index_select(0, active);
    if (output_.d_weight.defined()) head_.add_d_weight(d_logits, picked, output_.d_weight);
    if (output_.d_hidden.defined())
      output_.d_hidden.index_copy_(0, active + begin, head_.d_hidden(d_logits));
  }

  const LossProblem& problem_;
  const PolicyLossOptions& options_;
  LossOutput& output_;
  Head head_;
};

}  // namespace

void composed_policy_loss(const LossProblem& problem, LossOutput& output) {
  ComposedLoss chunks(problem, output);
  const int64_t count = problem.hidden.size(0), chunk = problem.options.chunk_tokens;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    pulse();
    chunks.run(begin, std::min(begin + chunk, count));
  }
}

void composed_logprobs(const LogprobProblem& problem, at::Tensor& logprobs, at::Tensor& entropy) {
  const Head head(problem.head_weight, statistics_dtype(problem.hidden));
  const int64_t count = problem.hidden.size(0);
  for (int64_t begin = 0; begin < count; begin += problem.chunk_tokens) {
    pulse();
    const int64_t end = std::min(begin + problem.chunk_tokens, count);
    const RowSoftmax rows(head.logits(problem.hidden.slice(0, begin, end)),
                          problem.targets.slice(0, begin, end), problem.temperature);
    logprobs.slice(0, begin, end).copy_(rows.logprobs());
    if (entropy.defined()) entropy.slice(0, begin, end).copy_(rows.entropy());
  }
}

}  // namespace caprl::ops
