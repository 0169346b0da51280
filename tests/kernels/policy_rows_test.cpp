// The row kernel of the policy loss against fp64: every size, alignment, estimator and clip.
#include "kernels/policy_rows_problem.h"

namespace caprl::kernels::policy_rows_test {
namespace {

template <class T>
class PolicyRowsTest : public testing::Test {
 protected:
  using Logit = typename T::Logit;
  using Gradient = typename T::Gradient;
};
TYPED_TEST_SUITE(PolicyRowsTest, AllPolicyRowTypes);

/// Both kernels, which agree to the bit; the forward one leaves the logits alone.
template <class Gradient, class Logit>
Results expect_right(const Problem<Logit>& p) {
  const Results results = run<Gradient>(p), forward = run<void>(p);
  expect_matches<Gradient>(p, results);
  EXPECT_EQ(results.logprobs, forward.logprobs);
  if (p.wants_entropy) {
    EXPECT_EQ(results.entropy, forward.entropy);
  }
  EXPECT_EQ(std::memcmp(forward.memory.data(), p.logits.data(), forward.memory.size()), 0);
  return results;
}

TYPED_TEST(PolicyRowsTest, AllVocabularies) {
  for (const int64_t vocab :
       {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000, 1023, 1025, 4099})
    for (const int64_t stride : {vocab, vocab + 13}) {
      auto p = make_problem<typename TypeParam::Logit>(3, vocab, stride);
      p.entropy_coeff = 0.1f;
      add_old_and_reference(p, 0.3);
      expect_right<typename TypeParam::Gradient>(p);
      if (this->HasFailure()) return;
    }
}

TYPED_TEST(PolicyRowsTest, AnyAlignment) {
  for (const int64_t vocab : {5, 6, 77, 800})
    for (size_t offset = 0; offset < 8; ++offset)
      for (const int64_t stride : {vocab + 3, vocab + 8}) {
        auto p = make_problem<typename TypeParam::Logit>(4, vocab, stride);
        p.offset = offset;
        expect_right<typename TypeParam::Gradient>(p);
        if (this->HasFailure()) return;
      }
}

// Several sweeps, beyond the cache in shared memory: of Qwen2.5-VL, and odd ones of other families.
TYPED_TEST(PolicyRowsTest, LargeVocabularies) {
  for (const int64_t vocab : {151936, 49153}) {
    auto p = make_problem<typename TypeParam::Logit>(2, vocab, vocab);
    p.entropy_coeff = 0.1f;
    expect_right<typename TypeParam::Gradient>(p);
  }
  auto p = make_problem<typename TypeParam::Logit>(2, 64793, 64793);
  p.offset = 3;
  p.wants_entropy = false;
  expect_matches<typename TypeParam::Gradient>(p, run<typename TypeParam::Gradient>(p));
}

TEST(PolicyRows, LogprobsAreGoodToTheFifthDigit) {
  constexpr int64_t kVocab = 151936;
  auto p = make_problem<float>(3, kVocab, kVocab);
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(-50, 50);
  for (int64_t j = 0; j < kVocab; ++j) {
    p.logit(0, j) = uniform(generator);
    p.logit(1, j) = uniform(generator) / 50;  // the sum is of many small terms
  }
  p.logit(0, 0) = -50;
  double worst = 0;
  for (const float temperature : {1.0f, 0.7f}) {
    p.temperature = temperature;
    const Results results = run<void>(p);
    for (int64_t row = 0; row < 3; ++row) {
      const auto n = static_cast<size_t>(row);
      const RowReference expected = row_reference(p, row);
      worst =
          std::fmax(worst, std::abs(static_cast<double>(results.logprobs[n]) - expected.logprob));
      EXPECT_NEAR(static_cast<double>(results.entropy[n]), expected.entropy, 1e-5);
    }
  }
  RecordProperty("worst", testing::PrintToString(worst));
  EXPECT_LE(worst, 1e-5);
}

TYPED_TEST(PolicyRowsTest, AllTerms) {
  auto p = make_problem<typename TypeParam::Logit>(12, 50, 50);
  p.temperature = 0.6f;
  add_old_and_reference(p, 0.5);
  const auto old = p.old, reference = p.reference;
  p.terms.kl_coef = 0.3f;
  for (const Kl kl : {Kl::kNone, Kl::kK1, Kl::kK2, Kl::kK3})
    for (const float clip_c : {0.0f, 1.5f})
      for (const bool off_policy : {false, true})
        for (const float entropy_coeff : {0.0f, 0.2f, -0.2f}) {
          p.terms.kl = kl;
          p.terms.clip_c = clip_c;
          p.old = off_policy ? old : std::vector<float>{};
          p.reference = kl == Kl::kNone ? std::vector<float>{} : reference;
          p.entropy_coeff = entropy_coeff;
          p.wants_entropy = kl != Kl::kK2;
          const Results results = expect_right<typename TypeParam::Gradient>(p);
          if (!off_policy) {
            EXPECT_EQ(results.ratio, std::vector<float>(12, 1.0f));
          }
          if (this->HasFailure()) return;
        }
}

TYPED_TEST(PolicyRowsTest, Temperatures) {
  for (const float temperature : {1.0f, 0.3f, 1.7f}) {
    auto p = make_problem<typename TypeParam::Logit>(8, 50, 50);
    p.temperature = temperature;
    add_old_and_reference(p, 0.5);
    p.entropy_coeff = 0.2f;
    expect_right<typename TypeParam::Gradient>(p);
  }
}

TYPED_TEST(PolicyRowsTest, ClipsOnBothSides) {
  auto p = make_problem<typename TypeParam::Logit>(64, 20, 20);
  add_old_and_reference(p, 1.0);
  p.terms.clip_c = 2.0f;
  const Results results = expect_right<typename TypeParam::Gradient>(p);
  int high = 0, low = 0, dual = 0, not_clipped = 0;
  for (size_t n = 0; n < 64; ++n) {
    const float ratio = results.ratio[n];
    (p.advantages[n] > 0 ? high : ratio < 1 ? low : dual) += results.clipped[n];
    not_clipped += !results.clipped[n];
    const std::vector<double> gradients =
        gradients_of<typename TypeParam::Gradient>(p, results, static_cast<int64_t>(n));
    const bool zero = gradients == std::vector<double>(20, 0.0);
    EXPECT_EQ(zero, results.clipped[n] == 1);
  }
  EXPECT_GT(high, 3);
  EXPECT_GT(low, 3);
  EXPECT_GT(dual, 3);
  EXPECT_GT(not_clipped, 10);
}

TYPED_TEST(PolicyRowsTest, ManyRows) {
  auto p = make_problem<typename TypeParam::Logit>(200, 6, 7);
  expect_right<typename TypeParam::Gradient>(p);
}

TYPED_TEST(PolicyRowsTest, NoRows) {
  using Logit = typename TypeParam::Logit;
  const PolicyRows<Logit> rows{.vocab = 8, .stride = 8};
  policy_rows_forward(rows, Stream{});
  policy_rows_gradient<Logit, typename TypeParam::Gradient>(rows, {}, Stream{});
}

TYPED_TEST(PolicyRowsTest, TheSameBitsEveryTime) {
  auto p = make_problem<typename TypeParam::Logit>(2, 5000, 5003);
  p.entropy_coeff = 0.1f;
  const Results first = run<typename TypeParam::Gradient>(p),
                second = run<typename TypeParam::Gradient>(p);
  EXPECT_EQ(first.memory, second.memory);
  EXPECT_EQ(first.loss, second.loss);
}

// The reference's gradient, which the kernel's is held against, is the derivative of its loss.
TEST(PolicyRows, TheReferenceIsADerivative) {
  auto p = make_problem<float>(24, 6, 6, 5, 1.0);
  p.temperature = 0.8f;
  add_old_and_reference(p, 0.2);
  p.terms.kl_coef = 0.3f;
  p.entropy_coeff = 0.2f;
  constexpr double kStep = 0x1p-10;  // exact in the logits, which are float
  for (float& logit : p.logits) logit = std::round(logit * 0x1p12f) * 0x1p-12f;
  for (const Kl kl : {Kl::kK1, Kl::kK2, Kl::kK3}) {
    p.terms.kl = kl;
    for (int64_t row = 0; row < p.num_rows; ++row) {
      const RowReference at = row_reference(p, row);
      for (int64_t j = 0; j < p.vocab; ++j) {
        const auto loss = [&](double step) {
          auto moved = p;
          moved.logit(row, j) += static_cast<float>(step);
          return row_reference(moved, row);
        };
        const RowReference above = loss(kStep), below = loss(-kStep);
        if (above.clipped != below.clipped) continue;
        EXPECT_NEAR((above.loss - below.loss) / (2 * kStep), at.gradient[static_cast<size_t>(j)],
                    1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace caprl::kernels::policy_rows_test
