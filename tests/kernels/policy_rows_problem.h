// Rows of logits with everything the policy loss needs, run through the kernel and, in fp64, in the
// plainest way.
#pragma once
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"
#include "kernels/policy_rows.h"

namespace caprl::kernels::policy_rows_test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class L, class G>
struct PolicyRowTypes {
  using Logit = L;
  using Gradient = G;
};
using AllPolicyRowTypes = testing::Types<PolicyRowTypes<float, float>, PolicyRowTypes<float, Bf16>,
                                         PolicyRowTypes<Bf16, Bf16>>;

template <class Logit>
struct Problem {
  int64_t num_rows = 0, vocab = 0, stride = 0;
  size_t offset = 0;            // of the logits from a 16-byte boundary
  std::vector<Logit> logits{};  // [(num_rows − 1) · stride + vocab]
  std::vector<int64_t> targets{};
  float temperature = 1;
  bool wants_entropy = true;
  std::vector<float> advantages{}, weights{}, old{}, reference{};  // the last two may be empty
  PolicyTerms<float> terms{0.2f, 0.3f, 0.0f, Kl::kNone, 0.0f};
  float entropy_coeff = 0;

  Logit& logit(int64_t row, int64_t token) {
    return logits[static_cast<size_t>(row * stride + token)];
  }
  double logit(int64_t row, int64_t token) const {
    return static_cast<double>(to_float(logits[static_cast<size_t>(row * stride + token)]));
  }
};

/// Of one row. `magnitude`: the sum of the absolute terms of each gradient, which rounding errors
/// are in proportion to.
struct RowReference {
  double logprob = 0, entropy = 0, loss = 0, ratio = 1, kl = 0;
  bool clipped = false;
  std::vector<double> gradient{}, magnitude{};
};

/// −inf has p = 0 and p log p = 0.
struct PlainSoftmax {
  std::vector<double> log_p;
  double entropy = 0;

  PlainSoftmax(std::vector<double> z) : log_p(std::move(z)) {
    double max = -kInfinity, sum = 0;
    for (const double x : log_p) max = std::fmax(max, x);
    for (const double x : log_p) sum += std::exp(x - max);
    for (double& x : log_p) {
      x -= max + std::log(sum);
      if (x != -kInfinity) entropy -= std::exp(x) * x;
    }
  }
};

template <class Logit>
std::vector<double> scaled_logits(const Problem<Logit>& problem, int64_t row) {
  std::vector<double> z;
  for (int64_t j = 0; j < problem.vocab; ++j)
    z.push_back(problem.logit(row, j) / static_cast<double>(problem.temperature));
  return z;
}

template <class Logit>
TokenLoss<double> token_reference(const Problem<Logit>& p, size_t row, double logprob) {
  const PolicyTerms<double> terms{
      static_cast<double>(p.terms.clip_low), static_cast<double>(p.terms.clip_high),
      static_cast<double>(p.terms.clip_c), p.terms.kl, static_cast<double>(p.terms.kl_coef)};
  const auto given = [&](const std::vector<float>& values) {
    return values.empty() ? logprob : static_cast<double>(values[row]);
  };
  return policy_token_loss(logprob, given(p.old), given(p.reference),
                           static_cast<double>(p.advantages[row]), terms);
}

template <class Logit>
RowReference row_reference(const Problem<Logit>& p, int64_t row) {
  const auto n = static_cast<size_t>(row), target = static_cast<size_t>(p.targets[n]);
  const PlainSoftmax softmax(scaled_logits(p, row));
  RowReference out{.logprob = softmax.log_p[target], .entropy = softmax.entropy};
  out.gradient.assign(static_cast<size_t>(p.vocab), 0);
  out.magnitude = out.gradient;
  const auto weight = static_cast<double>(p.weights[n]);
  if (weight == 0) return out;

  const TokenLoss<double> token = token_reference(p, n, out.logprob);
  out.ratio = token.ratio;
  out.kl = token.kl;
  out.clipped = token.clipped;
  const double c = weight * token.d_logp, bonus = weight * static_cast<double>(p.entropy_coeff);
  out.loss = weight * token.loss - (bonus == 0 ? 0 : bonus * out.entropy);
  if (c == 0 && bonus == 0) return out;
  for (size_t j = 0; j < out.gradient.size(); ++j) {
    const double log_p = softmax.log_p[j], prob = std::exp(log_p), hit = j == target ? 1 : 0;
    const double inner = log_p == -kInfinity ? 0 : bonus * prob * (log_p + out.entropy);
    const auto temperature = static_cast<double>(p.temperature);
    out.gradient[j] = (c * (hit - prob) + inner) / temperature;
    out.magnitude[j] = std::abs(c) * (hit + prob) / temperature;
    if (log_p != -kInfinity)
      out.magnitude[j] +=
          std::abs(bonus) * prob * (std::abs(log_p) + std::abs(out.entropy)) / temperature;
  }
  return out;
}

struct Results {
  std::vector<float> logprobs, entropy, loss, ratio, kl;
  std::vector<uint8_t> clipped;
  std::vector<uint8_t> memory;  // of the logits, afterwards
};

/// Stands for values that the kernel is not given.
inline std::vector<float> or_unused(const std::vector<float>& values) {
  return values.empty() ? std::vector<float>{0} : values;
}

/// Runs the gradient kernel or, with Gradient = void, the forward one.
template <class Gradient, class Logit>
Results run(const Problem<Logit>& p) {
  const auto count = static_cast<size_t>(p.num_rows);
  DeviceBuffer<Logit> logits(p.logits, p.offset);
  DeviceBuffer<int64_t> targets(p.targets);
  DeviceBuffer<float> advantages(p.advantages), weights(p.weights), old(or_unused(p.old)),
      reference(or_unused(p.reference));
  DeviceBuffer<float> logprobs(count), entropy(count), loss(count), ratio(count), kl(count);
  DeviceBuffer<uint8_t> clipped(count);
  const PolicyRows<Logit> rows{.logits = logits.get(),
                               .num_rows = p.num_rows,
                               .vocab = p.vocab,
                               .stride = p.stride,
                               .targets = targets.get(),
                               .temperature = p.temperature,
                               .logprobs = logprobs.get(),
                               .entropy = p.wants_entropy ? entropy.get() : nullptr};
  const PolicyRowTerms terms{.advantages = advantages.get(),
                             .weights = weights.get(),
                             .old_logprobs = p.old.empty() ? nullptr : old.get(),
                             .reference_logprobs = p.reference.empty() ? nullptr : reference.get(),
                             .terms = p.terms,
                             .entropy_coeff = p.entropy_coeff,
                             .loss = loss.get(),
                             .ratio = ratio.get(),
                             .kl = kl.get(),
                             .clipped = reinterpret_cast<bool*>(clipped.get())};
  if constexpr (std::is_void_v<Gradient>)
    policy_rows_forward(rows, Stream{});
  else
    policy_rows_gradient<Logit, Gradient>(rows, terms, Stream{});

  Results results{logprobs.values(),
                  entropy.values(),
                  loss.values(),
                  ratio.values(),
                  kl.values(),
                  clipped.values(),
                  {}};
  const std::vector<Logit> after = logits.values();
  results.memory.resize(after.size() * sizeof(Logit));
  std::memcpy(results.memory.data(), after.data(), results.memory.size());
  return results;
}

template <class Gradient, class Logit>
std::vector<double> gradients_of(const Problem<Logit>& p, const Results& results, int64_t row) {
  std::vector<Gradient> values(static_cast<size_t>(p.vocab));
  std::memcpy(values.data(),
              results.memory.data() + static_cast<size_t>(row * p.stride) * sizeof(Logit),
              values.size() * sizeof(Gradient));
  return to_double(values);
}

/// What lies between one row's gradients and the next row is as it was.
template <class Gradient, class Logit>
void expect_rest_untouched(const Problem<Logit>& p, const Results& results) {
  const auto* before = reinterpret_cast<const uint8_t*>(p.logits.data());
  const size_t row_bytes = static_cast<size_t>(p.stride) * sizeof(Logit);
  const size_t gradient_bytes = static_cast<size_t>(p.vocab) * sizeof(Gradient);
  for (size_t i = 0; i < results.memory.size(); ++i) {
    if (i % row_bytes < gradient_bytes) continue;
    ASSERT_EQ(results.memory[i], before[i]) << "byte " << i % row_bytes << " of a row";
  }
}

/// Room for CUDA's approximate 2^x, and the rounding of the results.
template <class Gradient, class Logit>
void expect_matches(const Problem<Logit>& p, const Results& results) {
  constexpr double kRelative = 3e-5, kRounded = sizeof(Gradient) == 2 ? 0x1.01p-8 : 0x1p-24;
  const auto near = [](double got, double expected, double absolute, double relative) {
    if (std::isnan(expected)) return std::isnan(got);
    return got == expected || std::abs(got - expected) <= absolute + relative * std::abs(expected);
  };
  for (int64_t row = 0; row < p.num_rows; ++row) {
    SCOPED_TRACE(testing::Message()
                 << "row " << row << " of " << p.num_rows << ", vocabulary " << p.vocab
                 << ", stride " << p.stride << ", offset " << p.offset);
    const auto n = static_cast<size_t>(row);
    const RowReference expected = row_reference(p, row);
    const auto check = [&](const char* what, float got, double wanted, double absolute,
                           double relative) {
      EXPECT_TRUE(near(static_cast<double>(got), wanted, absolute, relative))
          << what << ": expected " << wanted << ", got " << got;
    };
    check("logprob", results.logprobs[n], expected.logprob, 4e-6, 3e-7);
    if (p.wants_entropy) check("entropy", results.entropy[n], expected.entropy, 6e-6, 1e-6);
    const double weight = std::abs(static_cast<double>(p.weights[n]));
    check("loss", results.loss[n], expected.loss, kRelative * weight, kRelative);
    check("ratio", results.ratio[n], expected.ratio, 0, kRelative);
    check("kl", results.kl[n], expected.kl, kRelative, kRelative);
    EXPECT_EQ(results.clipped[n], expected.clipped ? 1 : 0);
    const std::vector<double> gradients = gradients_of<Gradient>(p, results, row);
    for (size_t j = 0; j < gradients.size(); ++j) {
      const double size = std::isnan(expected.gradient[j]) ? 0 : expected.magnitude[j];
      ASSERT_TRUE(near(gradients[j], expected.gradient[j], kRelative * size + 1e-37, kRounded))
          << "gradient of logit " << j << ": expected " << expected.gradient[j] << ", got "
          << gradients[j];
    }
  }
  expect_rest_untouched<Gradient>(p, results);
}

/// Random rows; the first's target is the first token, the second's the last.
template <class Logit>
Problem<Logit> make_problem(int64_t num_rows, int64_t vocab, int64_t stride, unsigned seed = 1,
                            double scale = 3) {
  Problem<Logit> p{.num_rows = num_rows, .vocab = vocab, .stride = stride};
  const auto count = static_cast<size_t>(num_rows);
  p.logits =
      random_values<Logit>(static_cast<size_t>((num_rows - 1) * stride + vocab), seed, scale);
  std::mt19937 generator(seed);
  for (int64_t row = 0; row < num_rows; ++row)
    p.targets.push_back(row == 0   ? 0
                        : row == 1 ? vocab - 1
                                   : static_cast<int64_t>(generator()) % vocab);
  p.advantages = random_values<float>(count, seed + 1);
  p.weights = random_values<float>(count, seed + 2, 0.2, 0.7);
  return p;
}

/// Old and reference log-probabilities around the policy's own.
template <class Logit>
void add_old_and_reference(Problem<Logit>& p, double spread, unsigned seed = 9) {
  const auto count = static_cast<size_t>(p.num_rows);
  p.old = random_values<float>(count, seed, spread);
  p.reference = random_values<float>(count, seed + 1, spread);
  for (size_t n = 0; n < count; ++n) {
    const double logprob = row_reference(p, static_cast<int64_t>(n)).logprob;
    p.old[n] += static_cast<float>(logprob);
    p.reference[n] += static_cast<float>(logprob);
  }
}

}  // namespace caprl::kernels::policy_rows_test
