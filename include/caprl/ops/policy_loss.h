// The loss head: hidden states and the output head in, loss and gradients out, in token chunks.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace caprl::ops {

enum class KlEstimator { kNone, kK1, kK2, kK3 };

struct PolicyLossOptions {
  double temperature = 1.0;     // logits are divided by it
  double clip_ratio_low = 0.2;  // ratio clipped to [1 − low, 1 + high]
  double clip_ratio_high = 0.2;
  double clip_ratio_c = 3.0;  // dual clip for negative advantages, above 1; 0: off
  KlEstimator kl = KlEstimator::kNone;
  double kl_coef = 0.0;
  double entropy_coeff = 0.0;   // loss −= entropy_coeff · entropy
  int64_t chunk_tokens = 2048;  // rows of float logits that exist at a time; twice as many bfloat16
  /// Of a bfloat16 model: float keeps the products' results, bfloat16 rounds them (half the memory
  /// and traffic; a logit of 20 is then off by up to 0.06). Other models' logits have their dtype.
  at::ScalarType logits_dtype = at::kFloat;
};

/// One row per scored token, on the device of the hidden states; advantages and weights may be on
/// the host: it need not wait for a GPU then. Undefined optional tensors mean "not used".
struct PolicyLossInput {
  at::Tensor targets;       // [N] int64
  at::Tensor advantages;    // [N] float
  at::Tensor weights;       // [N] float: mask and normaliser of the WHOLE step, so that losses of
                            // microbatches add up
  at::Tensor old_logprobs;  // [N] float; undefined: strictly on-policy, the ratio is exactly 1
  at::Tensor reference_logprobs;  // [N] float; needed with a KL estimator
};

struct PolicyLossResult {
  at::Tensor loss;  // scalar, differentiable in hidden and head weight: Σ weights · token loss
  at::Tensor logprobs;  // [N], no gradient, as are all below
  at::Tensor entropy;   // [N] of the temperature-scaled distribution
  at::Tensor ratio;     // [N]
  at::Tensor clipped;   // [N] bool: the clip decided the token's loss
  at::Tensor kl;        // [N], zeros without an estimator
};

/// The loss of a token is max(−A·r, −A·clip(r)), at most −A·clip_ratio_c for A < 0, with r = p /
/// p_old, plus kl_coef · KL, minus entropy_coeff · entropy. Exponents of r and of k3 are held
/// within ±20, beyond which the gradient is 0 (kernels/math/policy_math.h has the formulas). A row
/// of zero weight adds exactly nothing, whatever its other inputs hold; a NaN anywhere else reaches
/// the gradients.
///
/// hidden [N, H], head_weight [V, H] of one dtype: float, double, bfloat16. Statistics are fp32
/// (fp64 for double), and the head's gradient is summed in fp32. Gradients are computed in the
/// forward pass, three products in all, without the rows that have none; backward only hands them
/// on (scaled) and runs once.
///
/// head_gradient [V, H] float (double for double): if defined, the head's gradient is added to it
/// at once, exactly as for a backward pass of upstream gradient 1, and autograd gets none; without
/// it autograd gets the gradient in the head's dtype.
/// Error for shapes, dtypes, targets and options outside this contract.
PolicyLossResult policy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const PolicyLossInput& input, const PolicyLossOptions& options,
                             const at::Tensor& head_gradient = {});

/// The same with one ratio for a whole sequence, s = exp(mean of log p − log p_old over its rows of
/// nonzero weight), in place of each of its tokens' r (GSPO, arXiv 2507.18071, eq. 5–7).
/// `sequences` [N] int64 from 0 names each row's sequence; all rows of a sequence are given, with
/// one advantage. KL and entropy stay per token. The ratio is needed before the gradient, so this
/// makes a fourth product.
PolicyLossResult sequence_policy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                                      const PolicyLossInput& input, const at::Tensor& sequences,
                                      const PolicyLossOptions& options,
                                      const at::Tensor& head_gradient = {});

/// Σ weights · (−log p(target)): supervised training. Same path as policy_loss.
at::Tensor cross_entropy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                              const at::Tensor& targets, const at::Tensor& weights,
                              int64_t chunk_tokens, at::Tensor* logprobs = nullptr,
                              const at::Tensor& head_gradient = {});

/// Forward only: log-probability of each target at a temperature, [N] float (double for double
/// input).
at::Tensor token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                          const at::Tensor& targets, double temperature,
                          int64_t chunk_tokens = 2048, at::Tensor* entropy = nullptr);

}  // namespace caprl::ops
