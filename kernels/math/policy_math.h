// The policy-gradient loss of one token: plain functions that CPU code and CUDA kernels share. No
// Torch.
#pragma once
#include <math.h>

#include "kernels/math/host_device.h"

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

template <class Real>
CAPRL_HOST_DEVICE inline Real clamp(Real x, Real low, Real high) {
  return x < low ? low : (x > high ? high : x);
}

/// exp(x) with x held within ±20, so that a token that one model finds impossible cannot overflow
/// the loss (as verl does). Beyond the bound it is a constant; NaN stays NaN.
template <class Real>
struct BoundedExp {
  Real x, value;
  bool constant;
};

template <class Real>
CAPRL_HOST_DEVICE inline BoundedExp<Real> bounded_exp(Real x) {
  const Real bound = 20;
  const Real bounded = clamp(x, -bound, bound);
  return {bounded, exp(bounded), x < -bound || x > bound};
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
    derivative = 1 + 0 * x;  // NaN stays NaN
  } else if (terms.kl == Kl::kK2) {
    out.kl = x * x / 2;
    derivative = -x;
  } else if (terms.kl == Kl::kK3) {
    const BoundedExp<Real> e = bounded_exp(x);
    out.kl = e.value - 1 - e.x;
    derivative = e.constant ? Real(0) : 1 - e.value;
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
  const BoundedExp<Real> ratio = bounded_exp(logp - old_logp);
  out.ratio = ratio.value;
  const Real plain = -advantage * out.ratio;
  const Real clipped = -advantage * clamp(out.ratio, 1 - terms.clip_low, 1 + terms.clip_high);
  out.loss = plain;
  out.d_logp = ratio.constant ? Real(0) : plain;
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
