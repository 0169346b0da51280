#include "caprl/train/loss_batch.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "../models/model_files.h"
#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/philox.h"
#include "caprl/models/presets.h"
#include "caprl/ops/policy_loss.h"
#include "train/token_budget.h"

namespace caprl {
namespace {

std::unique_ptr<Model> double_model() {
  ModelOptions options;
  options.dtype = at::kDouble;
  options.train = TrainedParts::kAll;
  nlohmann::json config = preset_config("qwen2_5_tiny");
  config["initializer_range"] = 0.2;
  return Model::random(config, 3, options);
}

/// Three prompts with branches of different lengths, an empty one and one left out of the loss
/// among them.
std::vector<ScoredSequence> sequences() {
  std::vector<ScoredSequence> all(3);
  all[0].sequence = {{{5, 6, 7}, {}}, {{11, 12}, {}, {13, 14, 15, 16}}};
  all[0].branches = {{0, 0.1, 0.5}, {0, 0.1, 1.0}, {1, 0.2, -1.5}};
  all[1].sequence = {{{8}, {}}, {{21, 22, 23}}};
  all[1].branches = {{0, 0.3, 2.0}};
  all[2].sequence = {{{9, 10, 9, 10, 9}, {}}, {{31}, {32, 33}}};
  all[2].branches = {{0, 0.0, 7.0}, {0, 0.4, -0.25}};
  return all;
}

/// Gradient of the policy loss over all trainable weights, and the loss.
std::pair<double, at::Tensor> loss_and_gradient(Model& model, std::span<const ScoredSequence> all,
                                                int64_t micro_tokens) {
  std::vector<at::Tensor> weights;
  for (const auto& slice : model.parameters().trainable_slices()) {
    weights.push_back(model.parameters().get(slice.name));
    weights.back().mutable_grad() = at::zeros_like(weights.back());
  }
  std::vector<int64_t> sizes;
  for (const ScoredSequence& scored : all) sizes.push_back(num_tokens(scored.sequence));
  double loss = 0;
  for (const auto& pass : pack_by_tokens(sizes, micro_tokens)) {
    std::vector<ScoredSequence> together;
    for (const size_t i : pass) together.push_back(all[i]);
    const LossBatch batch = make_loss_batch(together, model);
    const auto result =
        ops::policy_loss(hidden_rows(model, batch), model.head_weight(),
                         {batch.targets, batch.advantages, batch.weights, {}, {}}, {});
    result.loss.backward();
    loss += result.loss.item<double>();
  }
  std::vector<at::Tensor> gradients;
  for (at::Tensor& weight : weights) {
    gradients.push_back(weight.grad().flatten());
    weight.mutable_grad().reset();
  }
  return {loss, at::cat(gradients)};
}

TEST(LossBatch, RowsPredictTheScoredTokens) {
  const auto model = double_model();
  const auto all = sequences();
  const LossBatch batch = make_loss_batch(all, *model);
  // Packed: 5 6 7 | 11 12 | | 13 14 15 16   8 | 21 22 23   9 10 9 10 9 | 31 | 32 33
  const std::vector<int64_t> rows = {2, 3, 5, 6, 7, 9, 10, 11, 17, 17, 19};
  const std::vector<int64_t> targets = {11, 12, 14, 15, 16, 21, 22, 23, 31, 32, 33};
  EXPECT_TRUE(at::equal(batch.rows, at::tensor(rows)));
  EXPECT_TRUE(at::equal(batch.targets, at::tensor(targets)));
  EXPECT_DOUBLE_EQ(batch.weights.sum().item<double>(), 2 * 0.1 + 3 * 0.2 + 3 * 0.3 + 2 * 0.4);
}

TEST(LossBatch, RowsHaveTheLogProbabilitiesOfPlainSequences) {
  const auto model = Model::load(test::model_dir("qwen2_5_vl_hub"), {.dtype = at::kDouble});
  std::vector<ScoredSequence> all(3);
  all[0].sequence = {test::golden_prompt("several_images"), {{11, 12}, {}, {13, 14, 15, 16}}};
  all[0].branches = {{0}, {0}, {2}};
  all[1].sequence = {test::golden_prompt("text"), {{21, 22, 23}, {24}}};
  all[1].branches = {{3}, {0}};
  all[2].sequence = {test::golden_prompt("one_image"), {{31}, {32, 33}}};
  all[2].branches = {{0}, {0}};
  at::NoGradGuard no_grad;
  const LossBatch batch = make_loss_batch(all, *model);
  const at::Tensor got =
      ops::token_logprobs(hidden_rows(*model, batch), model->head_weight(), batch.targets, 1.0, 3);
  std::vector<double> want;
  for (const ScoredSequence& scored : all)
    for (size_t b = 0; b < scored.branches.size(); ++b) {
      const auto& branch = scored.sequence.branches[b];
      BranchedSequence plain{scored.sequence.prefix, {}};
      plain.prefix.ids.insert(plain.prefix.ids.end(), branch.begin(), branch.end());
      const at::Tensor log_probs = at::log_softmax(
          test::logits_of(*model, pack(std::vector<BranchedSequence>{plain}, *model)), 1);
      const auto begin = static_cast<int64_t>(scored.sequence.prefix.ids.size());
      for (auto t = scored.branches[b].first; t < static_cast<int64_t>(branch.size()); ++t)
        want.push_back(log_probs[begin + t - 1][branch[t]].item<double>());
    }
  ASSERT_EQ(got.numel(), 2 + 2 + 1 + 1 + 2);
  EXPECT_LT(test::max_difference(got, at::tensor(want, at::kDouble)), 1e-10);
}

TEST(LossBatch, EmptyCaptionsAloneChangeNothing) {
  const auto model = double_model();
  std::vector<ScoredSequence> empty(1);
  empty[0].sequence = {{{5, 6, 7}, {}}, {{}, {}}};
  empty[0].branches = {{0, 0.5, 1.0}, {0, 0.5, -1.0}};
  const auto [loss, gradient] = loss_and_gradient(*model, empty, 100);
  EXPECT_EQ(loss, 0.0);
  EXPECT_TRUE(gradient.eq(0).all().item<bool>());
}

TEST(LossBatch, RefusesBranchesThatDoNotFit) {
  const auto model = double_model();
  auto all = sequences();
  all[1].branches[0].first = 4;  // of 3 tokens
  EXPECT_THROW(make_loss_batch(all, *model), Error);
  all = sequences();
  all[1].branches.clear();
  EXPECT_THROW(make_loss_batch(all, *model), Error);
}

TEST(LossBatch, MicrobatchesChangeGradientsByRoundingOnly) {
  const auto model = double_model();
  const auto all = sequences();
  const auto [loss, gradient] = loss_and_gradient(*model, all, 1000);
  EXPECT_GT(gradient.abs().max().item<double>(), 1e-3);
  for (const int64_t micro_tokens : {1, 9, 12, 14}) {
    const auto [other_loss, other] = loss_and_gradient(*model, all, micro_tokens);
    EXPECT_NEAR(other_loss, loss, 1e-12);
    EXPECT_LT((other - gradient).abs().max().item<double>(), 1e-10);
  }
}

TEST(LossBatch, GroupsHaveTheGradientsOfUnrolledSequences) {
  const auto model = double_model();
  const auto all = sequences();
  std::vector<ScoredSequence> unrolled;
  for (const ScoredSequence& group : all)
    for (size_t b = 0; b < group.branches.size(); ++b)
      unrolled.push_back(
          {{group.sequence.prefix, {group.sequence.branches[b]}}, {group.branches[b]}});
  const auto [loss, gradient] = loss_and_gradient(*model, all, 1000);
  const auto [other_loss, other] = loss_and_gradient(*model, unrolled, 1000);
  EXPECT_NEAR(other_loss, loss, 1e-12);
  EXPECT_LT((other - gradient).abs().max().item<double>(), 1e-10);
}

using Passes = std::vector<std::vector<size_t>>;

TEST(PackByTokens, TheLongestFirstToWhereItFitsBest) {
  EXPECT_EQ(pack_by_tokens(std::vector<int64_t>{9, 4, 8}, 13), (Passes{{0, 1}, {2}}));
  EXPECT_EQ(pack_by_tokens(std::vector<int64_t>{9, 4, 8}, 12), (Passes{{0}, {1, 2}}));
  // 6 leaves 4 and 7 leaves 3: 3 goes where nothing is left.
  EXPECT_EQ(pack_by_tokens(std::vector<int64_t>{6, 3, 7, 4}, 10), (Passes{{0, 3}, {1, 2}}));
  EXPECT_EQ(pack_by_tokens(std::vector<int64_t>{}, 5), Passes{});
}

TEST(PackByTokens, WhatFitsIntoOnePassStaysAsItIs) {
  EXPECT_EQ(pack_by_tokens(std::vector<int64_t>{1, 9, 4, 8}, 22), (Passes{{0, 1, 2, 3}}));
}

/// Everything once; no pass over the budget but of one thing; passes and what they hold in order;
/// no two passes that one would hold.
TEST(PackByTokens, Properties) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
    const int64_t budget = 1 + rng.below(100, 0);
    std::vector<int64_t> sizes(static_cast<size_t>(rng.below(40, 1)));
    for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = 1 + rng.below(budget * 5 / 4 + 1, 2, i);
    const Passes passes = pack_by_tokens(sizes, budget);
    std::vector<size_t> seen;
    std::vector<int64_t> sums;
    for (const auto& pass : passes) {
      ASSERT_FALSE(pass.empty());
      EXPECT_TRUE(std::ranges::is_sorted(pass));
      int64_t& sum = sums.emplace_back();
      for (const size_t i : pass) sum += sizes[i];
      if (pass.size() > 1) EXPECT_LE(sum, budget);
      seen.insert(seen.end(), pass.begin(), pass.end());
    }
    EXPECT_TRUE(std::ranges::is_sorted(passes, {}, [](const auto& pass) { return pass.front(); }));
    std::ranges::sort(seen);
    std::vector<size_t> all(sizes.size());
    std::iota(all.begin(), all.end(), size_t{0});
    EXPECT_EQ(seen, all);
    std::ranges::sort(sums);
    if (sums.size() > 1) EXPECT_GT(sums[0] + sums[1], budget);
    EXPECT_EQ(pack_by_tokens(sizes, budget), passes);
  }
}

TEST(TokenBudget, ReportsTheFirstGroupThatIsLonger) {
  const auto all = sequences();  // 9, 4 and 8 tokens
  TokenBudget budget(7);
  init_logging();
  const auto pack = [&] {
    testing::internal::CaptureStderr();
    EXPECT_EQ(budget.pack(all, [](size_t i) { return fmt::format("image {}", i); }),
              (Passes{{0}, {1}, {2}}));
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(pack(), testing::HasSubstr("image 0: a prompt of 3 tokens and what follows it, 9 in "
                                         "all, exceed train.micro_tokens (7)"));
  EXPECT_EQ(pack(), "");
}

}  // namespace
}  // namespace caprl
