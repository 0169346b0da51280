#include "caprl/ops/policy_loss.h"

#include "caprl/core/error.h"
#include "kernels/policy_math.h"
#include "ops/policy_loss_checks.h"

namespace caprl::ops {
namespace {

/// Statistics and losses are fp32, of double models fp64.
at::ScalarType real_type(const at::Tensor& hidden) {
  return hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// The products of the head. bf16 models multiply with fp32 results: rounding a logit of 20 to bf16
/// is off by 0.06.
class Head {
 public:
  Head(const at::Tensor& weight, at::ScalarType real)
      : weight_(weight), real_(real), wide_(weight.is_cuda() ? weight : weight.to(real)) {}

  at::Tensor logits(const at::Tensor& hidden) const { return product(hidden, wide_.t()); }
  at::Tensor d_hidden(const at::Tensor& d_logits) const {
    return product(d_logits.to(wide_.scalar_type()), wide_).to(weight_.scalar_type());
  }
  /// d_weight += d_logitsᵀ · hidden.
  void add_d_weight(const at::Tensor& d_logits, const at::Tensor& hidden,
                    at::Tensor& d_weight) const {
    d_weight.addmm_(d_logits.t(), hidden.to(real_));
  }

 private:
  at::Tensor product(const at::Tensor& a, const at::Tensor& b) const {
    if (b.scalar_type() == real_) return at::mm(a.to(real_), b);
    return at::mm(a, b, real_);
  }
  at::Tensor weight_;
  at::ScalarType real_;
  at::Tensor wide_;  // on the CPU, whose bf16 products round their results
};

/// Rows of logits at a temperature, normalised.
struct Rows {
  at::Tensor log_probs;  // [C, V]
  at::Tensor logprobs;   // [C] of the targets
  at::Tensor probs;      // [C, V]
  at::Tensor entropy;    // [C]
};

Rows normalise(at::Tensor logits, const at::Tensor& targets, double temperature,
               bool with_entropy = true) {
  if (temperature != 1.0) logits.div_(temperature);
  Rows rows;
  rows.log_probs = at::log_softmax(logits, 1);
  rows.logprobs = rows.log_probs.gather(1, targets.unsqueeze(1)).squeeze(1);
  if (!with_entropy) return rows;
  rows.probs = at::exp_out(logits, rows.log_probs);  // in the place of the logits
  rows.entropy = (rows.probs * rows.log_probs).sum(1).neg();
  return rows;
}

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

/// Undefined where no gradient is wanted.
struct Gradients {
  at::Tensor hidden, weight;
};

/// Hands gradients that are known already to autograd, once and without keeping a reference, so
/// that it may add other gradients of a tied head in place.
struct Precomputed : torch::autograd::Function<Precomputed> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& loss,
                            const Gradients* gradients) {
    context->saved_data["hidden"] = gradients->hidden;
    context->saved_data["weight"] = gradients->weight;
    return loss.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list upstream) {
    const double factor = upstream[0].item<double>();
    const auto hand_on = [&](const char* name) {
      const auto found = context->saved_data.find(name);
      if (found == context->saved_data.end())
        throw Error("[policy_loss] backward has run already; it can run once");
      at::Tensor gradient = std::move(found->second).toTensor();
      context->saved_data.erase(found);
      if (gradient.defined() && factor != 1.0) gradient.mul_(factor);
      return gradient;
    };
    at::Tensor hidden = hand_on("hidden"), weight = hand_on("weight");
    return {std::move(hidden), std::move(weight), {}, {}};
  }
};

/// Runs the chunks of one loss and adds up its results.
class ChunkedLoss {
 public:
  ChunkedLoss(const at::Tensor& hidden, const at::Tensor& weight, const PolicyLossOptions& options)
      : hidden_(hidden.detach()),
        head_(weight.detach(), real_type(hidden)),
        options_(options),
        wants_hidden_(at::GradMode::is_enabled() && hidden.requires_grad()),
        wants_weight_(at::GradMode::is_enabled() && weight.requires_grad()) {
    if (wants_hidden_) d_hidden = at::zeros_like(hidden_);
    if (wants_weight_)
      d_weight =
          at::zeros(weight.sizes(), weight.options().dtype(real_type(hidden)).requires_grad(false));
  }

  void run(int64_t begin, int64_t end, const PolicyLossInput& input) {
    const at::Tensor hidden = hidden_.slice(0, begin, end);
    const PolicyLossInput part = slice(input, begin, end);
    Rows rows = normalise(head_.logits(hidden), part.targets, options_.temperature);
    TokenTerms terms = token_terms(rows.logprobs, part, options_);
    const at::Tensor bonus = part.weights.to(rows.entropy.options()) * options_.entropy_coeff;
    if (options_.entropy_coeff != 0)
      terms.loss = terms.loss - at::where(bonus == 0, 0.0, bonus * rows.entropy);
    logprobs.push_back(rows.logprobs);
    entropy.push_back(rows.entropy);
    losses.push_back(terms.loss);
    ratio.push_back(terms.ratio);
    clipped.push_back(terms.clipped);
    kl.push_back(terms.kl);
    if (wants_hidden_ || wants_weight_)
      add_gradients(begin, hidden, part.targets, rows, terms.d_logp, bonus);
  }

  at::Tensor d_hidden, d_weight;
  std::vector<at::Tensor> logprobs, entropy, losses, ratio, clipped, kl;

 private:
  static PolicyLossInput slice(const PolicyLossInput& input, int64_t begin, int64_t end) {
    const auto part = [&](const at::Tensor& t) { return t.defined() ? t.slice(0, begin, end) : t; };
    return {part(input.targets), part(input.advantages), part(input.weights),
            part(input.old_logprobs), part(input.reference_logprobs)};
  }

  /// Rows without a gradient do not enter the products.
  void add_gradients(int64_t begin, const at::Tensor& hidden, const at::Tensor& targets,
                     const Rows& rows, const at::Tensor& d_logp, const at::Tensor& bonus) {
    const at::Tensor active = ((d_logp != 0) | (bonus != 0)).nonzero().squeeze(1);
    if (active.numel() == 0) return;
    const bool all = active.numel() == d_logp.numel();
    const auto pick = [&](const at::Tensor& t) { return all ? t : t.index_select(0, active); };
    const at::Tensor c = pick(d_logp).unsqueeze(1);
    at::Tensor d_logits = pick(rows.probs);  // becomes c (δ − p) + bonus · p (log p + H)
    if (options_.entropy_coeff != 0) {
      const at::Tensor inner = pick(rows.log_probs) + pick(rows.entropy).unsqueeze(1);
      d_logits.mul_(inner.mul_(pick(bonus).unsqueeze(1)).sub_(c));
    } else {
      d_logits.mul_(-c);
    }
    d_logits.scatter_add_(1, pick(targets).unsqueeze(1), c);
    if (options_.temperature != 1.0) d_logits.div_(options_.temperature);
    const at::Tensor picked = pick(hidden);
    if (wants_weight_) head_.add_d_weight(d_logits, picked, d_weight);
    if (wants_hidden_) d_hidden.index_copy_(0, active + begin, head_.d_hidden(d_logits));
  }

  at::Tensor hidden_;
  Head head_;
  PolicyLossOptions options_;
  bool wants_hidden_, wants_weight_;
};

at::Tensor joined(const std::vector<at::Tensor>& parts, const at::TensorOptions& options) {
  return parts.empty() ? at::empty({0}, options) : at::cat(parts);
}

}  // namespace

PolicyLossResult policy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const PolicyLossInput& input, const PolicyLossOptions& options) {
  check_rows(hidden, head_weight, input.targets, options.temperature, options.chunk_tokens);
  check_terms(input, options);
  ChunkedLoss chunks(hidden, head_weight, options);
  {
    at::NoGradGuard no_grad;
    const int64_t count = hidden.size(0);
    for (int64_t begin = 0; begin < count; begin += options.chunk_tokens)
      chunks.run(begin, std::min(begin + options.chunk_tokens, count), input);
  }
  const auto real = hidden.options().dtype(real_type(hidden)).requires_grad(false);
  PolicyLossResult result;
  result.logprobs = joined(chunks.logprobs, real);
  result.entropy = joined(chunks.entropy, real);
  result.ratio = joined(chunks.ratio, real);
  result.clipped = joined(chunks.clipped, real.dtype(at::kBool));
  result.kl = joined(chunks.kl, real);
  const at::Tensor loss = joined(chunks.losses, real).sum();
  if (chunks.d_weight.defined()) chunks.d_weight = chunks.d_weight.to(head_weight.scalar_type());
  const Gradients gradients{chunks.d_hidden, chunks.d_weight};
  result.loss = Precomputed::apply(hidden, head_weight, loss, &gradients);
  return result;
}

at::Tensor cross_entropy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                              const at::Tensor& targets, const at::Tensor& weights,
                              int64_t chunk_tokens, at::Tensor* logprobs) {
  // The gradient of −log p is that of a strictly on-policy token with advantage 1; only the value
  // of the loss differs.
  PolicyLossOptions options;
  options.chunk_tokens = chunk_tokens;
  const auto result =
      policy_loss(hidden, head_weight, {targets, at::ones_like(weights), weights, {}, {}}, options);
  if (logprobs) *logprobs = result.logprobs;
  const at::Tensor value = at::where(weights != 0, weights * result.logprobs, 0.0).sum().neg();
  return result.loss + (value - result.loss).detach();
}

at::Tensor token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                          const at::Tensor& targets, double temperature, int64_t chunk_tokens,
                          at::Tensor* entropy) {
  check_rows(hidden, head_weight, targets, temperature, chunk_tokens);
  at::NoGradGuard no_grad;
  const Head head(head_weight, real_type(hidden));
  std::vector<at::Tensor> logprobs, entropies;
  for (int64_t begin = 0; begin < hidden.size(0); begin += chunk_tokens) {
    const int64_t end = std::min(begin + chunk_tokens, hidden.size(0));
    const Rows rows = normalise(head.logits(hidden.slice(0, begin, end)),
                                targets.slice(0, begin, end), temperature, entropy != nullptr);
    logprobs.push_back(rows.logprobs);
    if (entropy) entropies.push_back(rows.entropy);
  }
  const auto real = hidden.options().dtype(real_type(hidden)).requires_grad(false);
  if (entropy) *entropy = joined(entropies, real);
  return joined(logprobs, real);
}

}  // namespace caprl::ops
