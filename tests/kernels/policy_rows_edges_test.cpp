// The row kernel of the policy loss where rows are masked, certain, impossible or not finite.
#include <algorithm>

#include "kernels/policy_rows_problem.h"

namespace caprl::kernels::policy_rows_test {
namespace {

template <class T>
class PolicyRowsEdgesTest : public testing::Test {
 protected:
  using Logit = typename T::Logit;
  using Gradient = typename T::Gradient;

  static Logit number(double x) { return from_float<Logit>(static_cast<float>(x)); }
  static bool all_zero_bits(const Problem<Logit>& p, const Results& results, int64_t row) {
    const uint8_t* begin =
        results.memory.data() + static_cast<size_t>(row * p.stride) * sizeof(Logit);
    return std::all_of(begin, begin + static_cast<size_t>(p.vocab) * sizeof(Gradient),
                       [](uint8_t byte) { return byte == 0; });
  }
  static int count_nan(const std::vector<double>& values) {
    return static_cast<int>(
        std::count_if(values.begin(), values.end(), [](double x) { return std::isnan(x); }));
  }
};
TYPED_TEST_SUITE(PolicyRowsEdgesTest, AllPolicyRowTypes);

// Sizes with edges alone, with edges at both ends, and of several packs a thread.
constexpr int64_t kVocabularies[] = {2, 45, 1029};

TYPED_TEST(PolicyRowsEdgesTest, RowsWithoutWeightAddNothingWhateverTheyHold) {
  for (const int64_t vocab : kVocabularies) {
    auto p = make_problem<typename TypeParam::Logit>(5, vocab, vocab + 1);
    add_old_and_reference(p, 0.1);
    p.terms.kl = Kl::kK3;
    p.terms.kl_coef = 0.5f;
    p.entropy_coeff = 0.1f;
    p.weights[1] = 0;
    p.weights[3] = -0.0f;
    const float nan = static_cast<float>(kNan);
    for (int64_t j = 0; j < vocab; ++j) p.logit(1, j) = this->number(kNan);
    p.old[1] = p.reference[1] = p.advantages[1] = nan;
    p.advantages[3] = static_cast<float>(kInfinity);
    const Results results = run<typename TypeParam::Gradient>(p);
    expect_matches<typename TypeParam::Gradient>(p, results);
    for (const size_t row : {1u, 3u}) {
      EXPECT_TRUE(this->all_zero_bits(p, results, static_cast<int64_t>(row)));
      EXPECT_EQ(results.loss[row], 0.0f);
      EXPECT_EQ(results.ratio[row], 1.0f);
      EXPECT_EQ(results.kl[row], 0.0f);
      EXPECT_EQ(results.clipped[row], 0);
    }
    EXPECT_FALSE(this->all_zero_bits(p, results, 2));
  }
}

TYPED_TEST(PolicyRowsEdgesTest, ZeroAdvantagesGiveExactlyZero) {
  auto p = make_problem<typename TypeParam::Logit>(3, 1029, 1029);
  std::fill(p.advantages.begin(), p.advantages.end(), 0.0f);
  const Results results = run<typename TypeParam::Gradient>(p);
  for (int64_t row = 0; row < 3; ++row) EXPECT_TRUE(this->all_zero_bits(p, results, row));
  EXPECT_EQ(results.loss, std::vector<float>(3, 0.0f));
  // The entropy bonus alone has a gradient.
  p.entropy_coeff = 0.1f;
  expect_matches<typename TypeParam::Gradient>(p, run<typename TypeParam::Gradient>(p));
}

TYPED_TEST(PolicyRowsEdgesTest, ReferenceEqualToThePolicyHasExactlyZeroKl) {
  auto p = make_problem<typename TypeParam::Logit>(6, 300, 301, 1, 20);
  p.old = p.reference = run<void>(p).logprobs;
  p.terms.kl_coef = 1;
  for (const Kl kl : {Kl::kK1, Kl::kK2, Kl::kK3}) {
    p.terms.kl = kl;
    const Results results = run<typename TypeParam::Gradient>(p);
    EXPECT_EQ(results.kl, std::vector<float>(6, 0.0f));
    EXPECT_EQ(results.ratio, std::vector<float>(6, 1.0f));
  }
}

TYPED_TEST(PolicyRowsEdgesTest, ImpossibleTokens) {
  for (const int64_t vocab : kVocabularies)
    for (const size_t offset : {0u, 3u}) {
      auto p = make_problem<typename TypeParam::Logit>(5, vocab, vocab);
      p.offset = offset;
      p.entropy_coeff = 0.1f;
      std::mt19937 generator(4);
      for (int64_t row = 0; row < 5; ++row)
        for (int64_t j = 0; j < vocab; ++j)
          if (j != p.targets[static_cast<size_t>(row)] && (row == 4 || generator() % 2))
            p.logit(row, j) = this->number(-kInfinity);
      const Results results = run<typename TypeParam::Gradient>(p);
      expect_matches<typename TypeParam::Gradient>(p, results);
      EXPECT_EQ(results.logprobs[4], 0.0f);  // the only possible one
      EXPECT_EQ(results.entropy[4], 0.0f);
      const auto gradients = gradients_of<typename TypeParam::Gradient>(p, results, 2);
      for (size_t j = 0; j < gradients.size(); ++j) {
        const float logit = to_float(p.logit(2, static_cast<int64_t>(j)));
        EXPECT_TRUE(gradients[j] == 0 || !std::isinf(logit)) << j;
      }
    }
}

TYPED_TEST(PolicyRowsEdgesTest, AnImpossibleTargetIsNotHidden) {
  auto p = make_problem<typename TypeParam::Logit>(2, 45, 45);
  p.logit(0, p.targets[0]) = this->number(-kInfinity);
  p.old = {-3, -3};
  const Results results = run<typename TypeParam::Gradient>(p);
  expect_matches<typename TypeParam::Gradient>(p, results);
  EXPECT_EQ(results.logprobs[0], -static_cast<float>(kInfinity));
}

TYPED_TEST(PolicyRowsEdgesTest, NotANumberReachesItsRowAndNoOther) {
  for (const int64_t vocab : kVocabularies)
    for (const double bad : {kNan, kInfinity})
      for (const int64_t where : {int64_t{0}, vocab / 2, vocab - 1})
        for (const float entropy_coeff : {0.0f, 0.1f}) {
          auto p = make_problem<typename TypeParam::Logit>(3, vocab, vocab);
          p.entropy_coeff = entropy_coeff;
          p.wants_entropy = entropy_coeff != 0;
          p.logit(1, where) = this->number(bad);
          const Results results = run<typename TypeParam::Gradient>(p);
          EXPECT_TRUE(std::isnan(results.logprobs[1]));
          EXPECT_TRUE(std::isnan(results.loss[1]));
          EXPECT_TRUE(std::isnan(results.entropy[1]));  // as it was, where it is not wanted
          const auto nans = [&](int64_t row) {
            return this->count_nan(gradients_of<typename TypeParam::Gradient>(p, results, row));
          };
          EXPECT_EQ(nans(0), 0);
          EXPECT_EQ(nans(1), vocab);
          EXPECT_EQ(nans(2), 0);
        }
}

TYPED_TEST(PolicyRowsEdgesTest, NothingPossibleIsNotANumber) {
  for (const int64_t vocab : kVocabularies) {
    auto p = make_problem<typename TypeParam::Logit>(2, vocab, vocab);
    for (int64_t j = 0; j < vocab; ++j) p.logit(0, j) = this->number(-kInfinity);
    const Results results = run<typename TypeParam::Gradient>(p);
    EXPECT_TRUE(std::isnan(results.logprobs[0]));
    EXPECT_TRUE(std::isnan(results.entropy[0]));
    EXPECT_EQ(this->count_nan(gradients_of<typename TypeParam::Gradient>(p, results, 0)), vocab);
    EXPECT_FALSE(std::isnan(results.logprobs[1]));
  }
}

TYPED_TEST(PolicyRowsEdgesTest, NotANumberAmongTheTermsReachesTheGradients) {
  for (const int what : {0, 1, 2, 3}) {
    auto p = make_problem<typename TypeParam::Logit>(3, 45, 45);
    add_old_and_reference(p, 0.1);
    p.terms.kl = Kl::kK1;
    p.terms.kl_coef = 0.5f;
    std::vector<float>* const terms[] = {&p.advantages, &p.weights, &p.old, &p.reference};
    (*terms[what])[1] = static_cast<float>(kNan);
    const Results results = run<typename TypeParam::Gradient>(p);
    EXPECT_TRUE(std::isnan(results.loss[1])) << what;
    EXPECT_FALSE(std::isnan(results.logprobs[1]));
    EXPECT_EQ(this->count_nan(gradients_of<typename TypeParam::Gradient>(p, results, 1)), 45);
    EXPECT_EQ(this->count_nan(gradients_of<typename TypeParam::Gradient>(p, results, 2)), 0);
  }
}

TYPED_TEST(PolicyRowsEdgesTest, ExtremeLogits) {
  // One token is certain, the others are impossible; the last row's target is one of those.
  auto p = make_problem<typename TypeParam::Logit>(3, 45, 45);
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t j = 0; j < 45; ++j)
      p.logit(row, j) =
          this->number(j == (row == 2 ? 7 : p.targets[static_cast<size_t>(row)]) ? 8192 : -8192);
  p.targets[2] = 30;
  p.entropy_coeff = 0.1f;
  for (const float temperature : {1.0f, 0.25f}) {
    p.temperature = temperature;
    const Results results = run<typename TypeParam::Gradient>(p);
    expect_matches<typename TypeParam::Gradient>(p, results);
    EXPECT_EQ(results.logprobs, (std::vector<float>{0, 0, -16384 / temperature}));
    EXPECT_EQ(results.entropy, std::vector<float>(3, 0.0f));
  }
  for (auto& logit : p.logits) logit = this->number(-3e38);
  p.logit(0, 20) = this->number(3e38);  // differences overflow
  p.temperature = 1;
  p.targets[0] = 20;
  const Results results = run<typename TypeParam::Gradient>(p);
  EXPECT_EQ(results.logprobs[0], 0.0f);
  EXPECT_EQ(results.entropy[0], 0.0f);
  EXPECT_NEAR(results.logprobs[1], -std::log(45.0f), 1e-6);
  EXPECT_NEAR(results.entropy[1], std::log(45.0f), 1e-6);
}

}  // namespace
}  // namespace caprl::kernels::policy_rows_test
