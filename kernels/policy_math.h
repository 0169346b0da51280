// The policy-gradient loss of one token: plain functions that CPU code and CUDA kernels share. No
// Torch.
#pragma once
#ifdef __CUDACC__
#define CAPRL_HOST_DEVICE __host__ __device__
#else
#define CAPRL_HOST_DEVICE
#endif

#include <math.h>

namespace caprl::kernels {

enum class Kl { kNone, kK1, kK2, kK3 };

template <class Real>
struct PolicyTerms {
  Real clip_low, clip_high;  // the ratio is clipped to [1 − low, 1 + high]
  Real clip_c;  // dual clip (arXiv 1912.09729): ratio bound for negative advantages; 0: off
  Kl kl;
  Real kl_coef;
};

template <class Real>
struct TokenLoss {
  Real loss;    // policy term + kl_coef · kl
  Real d_logp;  // its derivative with respect to the token's log-probability
  Real ratio;
  Real kl;
  bool clipped;  // a clip decided the policy term
};

/// exp's argument stays within ±this, so that a token that one model finds impossible cannot
/// overflow the loss. The derivative is 0 beyond the bound.
template <class Real>
CAPRL_HOST_DEVICE inline constexpr Real exponent_bound() {
  return Real(20);
}

template <class Real>
CAPRL_HOST_DEVICE inline Real clamp(Real x, Real low, Real high) {
  return x < low ? low : (x > high ? high : x);
}

/// Estimators of KL(policy ‖ reference) from a token sampled from the policy (J. Schulman,
/// "Approximating KL divergence", 2020): k1 = −x, k2 = x²/2, k3 = eˣ − 1 − x with x = log reference
/// − log policy.
template <class Real>
CAPRL_HOST_DEVICE inline void add_kl(Real logp, Real reference, const PolicyTerms<Real>& terms,
                                     TokenLoss<Real>& out) {
  const Real x = reference - logp;
  Real derivative = 0;
  if (terms.kl == Kl::kK1) {
    out.kl = -x;
    derivative = 1;
  } else if (terms.kl == Kl::kK2) {
    out.kl = x * x / 2;
    derivative = -x;
  } else if (terms.kl == Kl::kK3) {
    const Real bounded = clamp(x, -exponent_bound<Real>(), exponent_bound<Real>());
    const Real e = exp(bounded);
    out.kl = e - 1 - bounded;
    derivative = bounded == x ? 1 - e : Real(0);
  }
  out.loss += terms.kl_coef * out.kl;
  out.d_logp += terms.kl_coef * derivative;
}

/// Clipped policy-gradient loss max(−A·r, −A·clip(r)) with r = exp(logp − old_logp) (PPO, arXiv
/// 1707.06347), and the KL term. `old_logp` equal to `logp` makes the ratio exactly 1 and the
/// derivative −A.
template <class Real>
CAPRL_HOST_DEVICE inline TokenLoss<Real> policy_token_loss(Real logp, Real old_logp, Real reference,
                                                           Real advantage,
                                                           const PolicyTerms<Real>& terms) {
  TokenLoss<Real> out{};
  const Real difference = logp - old_logp;
  const Real bounded = clamp(difference, -exponent_bound<Real>(), exponent_bound<Real>());
  out.ratio = exp(bounded);
  const Real plain = -advantage * out.ratio;
  const Real clipped = -advantage * clamp(out.ratio, 1 - terms.clip_low, 1 + terms.clip_high);
  out.loss = plain;
  out.d_logp = bounded == difference ? plain : Real(0);
  if (clipped > plain) {
    out.loss = clipped;
    out.d_logp = 0;
    out.clipped = true;
  }
  const Real bound = -advantage * terms.clip_c;
  if (advantage < 0 && terms.clip_c > 0 && out.loss > bound) {
    out.loss = bound;
    out.d_logp = 0;
    out.clipped = true;
  }
  if (terms.kl != Kl::kNone) add_kl(logp, reference, terms, out);
  return out;
}

}  // namespace caprl::kernels
