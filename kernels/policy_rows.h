// Rows of logits → log-probabilities, entropy, policy loss, and the loss's gradient in place of the
// logits.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/math/policy_math.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// Device pointers; N < 2³¹ rows, 1 ≤ V < 2³¹ tokens. Rows are `stride` ≥ V logits apart, at any
/// alignment, odd strides included. With z = logit / temperature and log p = z − log Σ eᶻ in fp32.
/// A logit of −inf is an impossible token: p = 0, nothing added to the entropy, gradient 0. One of
/// NaN or +inf, or a row of −inf alone, makes the results of its row NaN.
template <class Logit>
struct PolicyRows {
  Logit* logits = nullptr;  // [N, stride]
  int64_t num_rows = 0, vocab = 0, stride = 0;
  const int64_t* targets = nullptr;  // [N] in [0, V)
  float temperature = 1;             // logits are divided by it

  // Out, [N] each; null: not wanted.
  float* logprobs = nullptr;  // log p(target)
  float* entropy = nullptr;   // −Σ p log p
};

/// What the loss of a row is made of (kernels/math/policy_math.h).
struct PolicyRowTerms {
  const float* advantages = nullptr;    // [N]
  const float* weights = nullptr;       // [N]; 0: the row adds exactly nothing
  const float* old_logprobs = nullptr;  // [N]; null: strictly on-policy, the ratio is exactly 1
  const float* reference_logprobs = nullptr;  // [N]; null without a KL estimator
  PolicyTerms<float> terms{};
  float entropy_coeff = 0;  // loss −= entropy_coeff · entropy
  bool with_gradient = true;  // false: the logits stay as they are

  // Out, [N] each.
  float* loss = nullptr;  // weight · (token loss − entropy_coeff · entropy)
  float* ratio = nullptr;
  float* kl = nullptr;
  bool* clipped = nullptr;
};

/// One read of the logits.
template <class Logit>
void policy_rows_forward(const PolicyRows<Logit>& rows, Stream stream);

/// The same, to the bit, and d loss / d logits written over the logits as `Gradient`s: row n's V
/// values begin where its logits began, so rows are stride · sizeof(Logit) / sizeof(Gradient)
/// gradients apart; the rest of the row stays as it was. With c = weight · d token loss / d log p
/// and b = weight · entropy_coeff, gradient j is
/// [c (1{j = target} − p_j) + b p_j (log p_j + entropy)] / temperature.
/// Rows of zero weight get zeros and loss 0, ratio 1, kl 0, whatever their logits hold; NaN
/// elsewhere reaches the gradients. (Logit, Gradient): (float, float), (float, Bf16), (Bf16, Bf16).
template <class Logit, class Gradient>
void policy_rows_gradient(const PolicyRows<Logit>& rows, const PolicyRowTerms& terms,
                          Stream stream);

}  // namespace caprl::kernels
