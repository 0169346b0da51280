#include "caprl/generation/generator.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "caprl/core/error.h"
#include "caprl/ops/policy_loss.h"
#include "requests.h"

namespace caprl {
namespace {

TEST(Generate, LogprobsAreThoseOfTheFullForwardPass) {
  const auto model = tiny_model(tiny_text_config());
  for (const double temperature : {1.0, 0.7}) {
    SamplingParams params = sampling(30);
    params.temperature = temperature;
    const auto requests = some_requests();
    const Results results = generate(*model, requests, params);
    ASSERT_EQ(results.size(), requests.size());
    for (size_t r = 0; r < requests.size(); ++r)
      ASSERT_EQ(results[r].size(), requests[r].suffixes.size());
    expect_full_logprobs(*model, requests, results, temperature, 2e-5);
  }
}

TEST(Generate, ImagesAreReadOnceForAllSamples) {
  const auto model = tiny_model(tiny_vision_config());
  std::vector<GenerationRequest> requests(3);
  requests[0] = {image_prompt(4, 8, 1), 1, Suffixes(4), std::nullopt};
  requests[1] = {image_prompt(8, 6, 2), 2, {{3, 4}, {}, {5}}, std::nullopt};
  requests[2] = {{some_ids(5, 3), {}}, 3, Suffixes(2), std::nullopt};
  SamplingParams params = sampling(12);
  params.banned_ids = {56, 57, 58, 59, 60};
  const Results results = generate(*model, requests, params);
  expect_full_logprobs(*model, requests, results, 1.0, 2e-5);
  for (const auto& group : results)
    for (const auto& sequence : group)
      for (const int64_t id : sequence.ids) EXPECT_LT(id, 56);
}

TEST(Generate, Bfloat16LogprobsAgreeWithTheLossHead) {
  const auto model = tiny_model(tiny_text_config(), at::kBFloat16);
  const auto requests = some_requests();
  const Results results = generate(*model, requests, sampling(10));
  double total = 0;
  int64_t count = 0;
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      at::NoGradGuard no_grad;
      std::vector<int64_t> branch = requests[r].suffixes[s];
      const auto& ids = results[r][s].ids;
      branch.insert(branch.end(), ids.begin(), ids.end());
      const BranchedSequence tree{requests[r].prompt, {branch}};
      const BranchedBatch batch = pack({&tree, 1}, *model);
      BranchedAttention attention(batch.layout, at::kCPU);
      const auto n = static_cast<int64_t>(ids.size());
      const at::Tensor hidden = model->decode(model->embed(batch), batch.positions, attention)
                                    .narrow(0, batch.layout.num_tokens - n - 1, n);
      const at::Tensor expected =
          ops::token_logprobs(hidden, model->head_weight(), at::tensor(ids, at::kLong), 1.0);
      total += (at::tensor(results[r][s].logprobs) - expected).abs().sum().item<double>();
      count += n;
    }
  EXPECT_LT(total / static_cast<double>(count), 0.05);
}

TEST(Generate, GreedyTokensAreTheArgMaxOfTheFullForwardPass) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(20);
  params.temperature = 0;
  const Results results = generate(*model, requests, params);
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      const auto& ids = results[r][s].ids;
      const at::Tensor best =
          full_logits(*model, requests[r].prompt, requests[r].suffixes[s], ids).argmax(1);
      for (size_t t = 0; t < ids.size(); ++t)
        EXPECT_EQ(ids[t], best[static_cast<int64_t>(t)].item<int64_t>());
    }
  expect_full_logprobs(*model, requests, results, 1.0, 1e-5);
}

/// Tokens and log-probabilities have the adapters, and so do images.
TEST(Generate, AdaptersAreUsedAsInTheFullForwardPass) {
  for (const auto& config : {tiny_text_config(), tiny_vision_config()}) {
    ModelOptions options{.train = TrainedParts::kAll};
    options.lora.rank = 3;
    const auto model = Model::random(config, 3, options);
    auto requests = some_requests();
    if (model->traits().image_token_id) requests[1].prompt = image_prompt(4, 8, 1);
    SamplingParams params = sampling(20);
    params.banned_ids = {56, 57, 58, 59, 60};
    const Results base = generate(*model, requests, params);
    {
      const at::NoGradGuard no_grad;
      for (const auto& slice : model->parameters().trainable_slices())
        if (slice.name.ends_with("lora_B.weight")) model->parameters().get(slice.name).fill_(0.05);
    }
    const Results results = generate(*model, requests, params);
    expect_full_logprobs(*model, requests, results, 1.0, 2e-5);
    EXPECT_NE(results[1][0].logprobs, base[1][0].logprobs);
    for (size_t r = 0; r < requests.size(); ++r)
      expect_same(generate(*model, {&requests[r], 1}, params)[0], results[r]);

    params.temperature = 0;
    const Results greedy = generate(*model, requests, params);
    for (size_t r = 0; r < requests.size(); ++r)
      for (size_t s = 0; s < greedy[r].size(); ++s) {
        const at::Tensor logits =
            full_logits(*model, requests[r].prompt, requests[r].suffixes[s], greedy[r][s].ids);
        EXPECT_TRUE(
            at::equal(logits.narrow(1, 0, 56).argmax(1), at::tensor(greedy[r][s].ids, at::kLong)));
      }
  }
}

TEST(Generate, RepeatsExactly) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  const Results first = generate(*model, requests, sampling(30));
  const Results second = generate(*model, requests, sampling(30));
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < first[r].size(); ++s) {
      EXPECT_EQ(first[r][s].ids, second[r][s].ids);
      EXPECT_EQ(first[r][s].logprobs, second[r][s].logprobs);
    }
}

/// Memory for so many pages of the model's cache.
GenerationLimits pages(const Model& model, int64_t num_pages, int64_t max_num_seqs = 256,
                       int64_t max_num_batched_tokens = 8192) {
  GenerationStats stats;
  const GenerationRequest request{{{1}, {}}, 0, {{}}, std::nullopt};
  generate(model, {&request, 1}, sampling(1), {}, &stats);
  const auto page = static_cast<double>(stats.kv_cache_bytes / stats.num_pages);
  return {(static_cast<double>(num_pages) + 0.5) * page * 1e-9, max_num_seqs,
          max_num_batched_tokens};
}

TEST(Generate, BatchingAndOrderDoNotChangeABit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const auto& config : {tiny_text_config(), tiny_vision_config()}) {
      const auto model = tiny_model(config, dtype);
      auto requests = some_requests();
      if (model->traits().image_token_id) {
        requests[1].prompt = image_prompt(4, 8, 1);
        requests[3].prompt = image_prompt(8, 6, 2);
      }
      const Results together = generate(*model, requests, sampling(30));
      for (size_t r = 0; r < requests.size(); ++r)
        expect_same(generate(*model, {&requests[r], 1}, sampling(30))[0], together[r]);

      std::reverse(requests.begin(), requests.end());
      const Results reversed = generate(*model, requests, sampling(30));
      for (size_t r = 0; r < requests.size(); ++r)
        expect_same(reversed[requests.size() - 1 - r], together[r]);
    }
}

TEST(Generate, NeitherDoChunksNorPreemption) {
  for (const auto& config : {tiny_text_config(), tiny_vision_config()}) {
    const auto model = tiny_model(config);
    auto requests = some_requests();
    if (model->traits().image_token_id) requests[2].prompt = image_prompt(8, 6, 2);
    const Results free = generate(*model, requests, sampling(60));
    int64_t preemptions = 0;
    for (const int64_t num_pages : {7, 8, 12, 30})
      for (const int64_t tokens : {1, 7, 8192})
        for (const int64_t seqs : {1, 5, 256}) {
          GenerationStats stats;
          const Results tight = generate(*model, requests, sampling(60),
                                         pages(*model, num_pages, seqs, tokens), &stats);
          for (size_t r = 0; r < requests.size(); ++r) expect_same(tight[r], free[r]);
          EXPECT_EQ(stats.num_pages, num_pages);
          EXPECT_LE(stats.peak_pages, num_pages);
          preemptions += stats.preemptions;
        }
    EXPECT_GT(preemptions, 20);
  }
}

TEST(Generate, StatsCountWhatWasDone) {
  const auto model = tiny_model(tiny_text_config());
  std::vector<GenerationRequest> requests(2);
  requests[0] = {{some_ids(40, 1), {}}, 5, Suffixes(8), std::nullopt};
  requests[1] = {{some_ids(7, 2), {}}, 6, {{1, 2}, {3}}, std::nullopt};
  SamplingParams params = sampling(10);
  params.stop_ids = {};
  GenerationStats stats;
  generate(*model, requests, params, {}, &stats);
  EXPECT_EQ(stats.prompt_tokens, 47);
  EXPECT_EQ(stats.generated_tokens, 100);
  EXPECT_EQ(stats.steps, 11);
  EXPECT_EQ(stats.preemptions, 0);
  EXPECT_EQ(stats.recomputed_tokens, 0);
  EXPECT_EQ(stats.decode_steps, 10);
  EXPECT_EQ(stats.decode_tokens, 100);
  // 3 pages, for each sample a copy of the last and one more; 1 page, its copies and one more.
  EXPECT_EQ(stats.peak_pages, 3 + 8 * 2 + 1 + 2 * 2);
  EXPECT_GT(stats.prefill_seconds, 0);
  EXPECT_GT(stats.decode_seconds, stats.sample_seconds / 2);
}

TEST(Generate, AGroupReadsAndKeepsItsPromptOnce) {
  const auto model = tiny_model(tiny_text_config());
  const GenerationRequest group{{some_ids(1000, 1), {}}, 5, Suffixes(8), std::nullopt};
  SamplingParams params = sampling(100);
  params.temperature = 0;
  params.stop_ids = {};
  GenerationStats shared, unshared;
  const Results together = generate(*model, {&group, 1}, params, {}, &shared);
  std::vector<GenerationRequest> alone(8, group);
  for (GenerationRequest& request : alone) request.suffixes.resize(1);
  const Results apart = generate(*model, alone, params, {}, &unshared);
  for (size_t s = 0; s < 8; ++s) expect_same(apart[s], {together[0][s]});
  // Prompts that are the same share what is on whole pages.
  EXPECT_EQ(shared.prompt_tokens, 1000);
  EXPECT_EQ(unshared.prompt_tokens, 1000 + 7 * 8);
  EXPECT_EQ(unshared.cached_tokens, 7 * 992);
  EXPECT_EQ(unshared.peak_pages, shared.peak_pages + 7);  // the page that is not whole
}

/// Pages of the process in memory.
int64_t resident_pages() {
  std::ifstream in("/proc/self/statm");
  int64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident;
}

TEST(Generate, MemoryStaysFlat) {
  const auto model = tiny_model(tiny_text_config());
  std::vector<GenerationRequest> requests(5);
  int64_t begin = 0;
  for (uint64_t round = 0; round < 1000; ++round) {  // of 10 rollouts
    for (uint64_t i = 0; i < requests.size(); ++i)
      requests[i] = {{some_ids(3 + static_cast<int64_t>((round + i) % 40), round), {}},
                     5 * round + i,
                     Suffixes(2),
                     std::nullopt};
    generate(*model, requests, sampling(4 + static_cast<int64_t>(round % 9)));
    if (round == 10) begin = resident_pages();
  }
  EXPECT_LT(static_cast<double>(resident_pages()), 1.01 * static_cast<double>(begin));
}

TEST(Generate, RequestsMayComeAndGo) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  const Results expected = generate(*model, requests, sampling(30));
  Generator generator(*model, sampling(30), pages(*model, 12));
  Results results(requests.size());
  for (size_t r = 0; r < requests.size(); ++r) results[r].resize(requests[r].suffixes.size());
  size_t submitted = 0;
  while (submitted < requests.size() || !generator.idle()) {
    if (submitted < requests.size() && generator.num_unfinished() < 4) {
      EXPECT_EQ(generator.submit(requests[submitted]), static_cast<int64_t>(submitted));
      ++submitted;
    }
    for (auto& finished : generator.step())
      results[finished.request][finished.sample] = std::move(finished.sequence);
  }
  for (size_t r = 0; r < requests.size(); ++r) expect_same(results[r], expected[r]);
}

TEST(Generate, SharingAPromptEqualsRepeatingIt) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  for (const GenerationRequest& request : requests) {
    const auto shared = generate(*model, {&request, 1}, sampling(25))[0];
    // The suffix as part of the prompt: nothing is shared between the samples.
    for (size_t s = 0; s < shared.size(); ++s) {
      GenerationRequest alone = request;
      auto& ids = alone.prompt.ids;
      ids.insert(ids.end(), request.suffixes[s].begin(), request.suffixes[s].end());
      alone.suffixes.assign(s + 1, {});
      expect_same({generate(*model, {&alone, 1}, sampling(25))[0][s]}, {shared[s]});
    }
  }
}

TEST(Generate, EveryPartOfTheAddressCounts) {
  const auto model = tiny_model(tiny_text_config());
  GenerationRequest request{{some_ids(4, 1), {}}, 5, Suffixes(2), std::nullopt};
  SamplingParams params = sampling(20);
  params.stop_ids = {};
  std::set<std::vector<int64_t>> seen;
  const auto add = [&] {
    const Results results = generate(*model, {&request, 1}, params);
    for (const auto& sequence : results[0]) seen.insert(sequence.ids);
    return seen.size();
  };
  EXPECT_EQ(add(), 2u);
  EXPECT_EQ(add(), 2u);
  request.prompt_id = 6;
  EXPECT_EQ(add(), 4u);
  params.step = 5;
  EXPECT_EQ(add(), 6u);
  params.seed = 18;
  EXPECT_EQ(add(), 8u);
  params.purpose = RandomPurpose::kAnswerSampling;
  EXPECT_EQ(add(), 10u);
  request.parent_sample = 0;
  EXPECT_EQ(add(), 12u);
  request.parent_sample = 1;
  EXPECT_EQ(add(), 14u);
}

TEST(Generate, StopsAfterAStopTokenAndKeepsIt) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(30);
  params.stop_ids = {};
  const Results endless = generate(*model, requests, params);
  params.stop_ids = {7, 8, 20, 33};
  const Results results = generate(*model, requests, params);
  int64_t num_stopped = 0, num_limited = 0;
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      const auto& ids = endless[r][s].ids;
      EXPECT_EQ(ids.size(), 30u);
      EXPECT_FALSE(endless[r][s].stopped);
      auto end = std::find_first_of(ids.begin(), ids.end(), params.stop_ids.begin(),
                                    params.stop_ids.end());
      const bool stops = end != ids.end();
      if (stops) ++end;
      EXPECT_EQ(results[r][s].ids, std::vector<int64_t>(ids.begin(), end));
      EXPECT_EQ(results[r][s].logprobs.size(), results[r][s].ids.size());
      EXPECT_EQ(results[r][s].stopped, stops);
      ++(stops ? num_stopped : num_limited);
    }
  EXPECT_GT(num_stopped, 3);
  EXPECT_GT(num_limited, 0);
}

TEST(Generate, AStopTokenAtTheLimitCountsAsStopped) {
  const auto model = tiny_model(tiny_text_config());
  const GenerationRequest request{{some_ids(4, 1), {}}, 5, Suffixes(1), std::nullopt};
  SamplingParams params = sampling(1);
  const int64_t only = generate(*model, {&request, 1}, params)[0][0].ids.at(0);
  EXPECT_FALSE(generate(*model, {&request, 1}, params)[0][0].stopped);
  params.stop_ids = {only};
  const auto stopped = generate(*model, {&request, 1}, params)[0][0];
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.ids, std::vector<int64_t>{only});
}

TEST(Generate, NothingToDoIsNoError) {
  const auto model = tiny_model(tiny_text_config());
  EXPECT_TRUE(generate(*model, {}, sampling(5)).empty());
  std::vector<GenerationRequest> requests(2);
  requests[0] = {{some_ids(4, 1), {}}, 5, {}, std::nullopt};
  requests[1] = {{some_ids(4, 2), {}}, 6, Suffixes(1), std::nullopt};
  const Results results = generate(*model, requests, sampling(5));
  EXPECT_TRUE(results[0].empty());
  EXPECT_FALSE(results[1][0].ids.empty());
}

TEST(Generate, FaultsAreErrors) {
  const auto model = tiny_model(tiny_text_config());
  const auto error_of = [&](const GenerationRequest& request, const SamplingParams& params) {
    try {
      generate(*model, {&request, 1}, params);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const GenerationRequest good{{some_ids(4, 1), {}}, 5, Suffixes(1), std::nullopt};
  using testing::HasSubstr;
  EXPECT_THAT(error_of(good, sampling(0)), HasSubstr("expected max_new_tokens ≥ 1, got 0"));
  EXPECT_THAT(error_of({{}, 5, Suffixes(1), std::nullopt}, sampling(1)),
              HasSubstr("prompt 5 has no tokens"));
  // Numbers that would fit are named.
  nlohmann::json config = tiny_text_config();
  config["max_position_embeddings"] = 20;
  const auto small = tiny_model(config);
  try {
    generate(*small, {&good, 1}, sampling(17));
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(
        error.what(),
        HasSubstr("prompt 5: 4 tokens and up to 17 new ones exceed the model's context of 20 "
                  "(max_position_embeddings); 16 new ones would fit"));
  }
  EXPECT_EQ(generate(*small, {&good, 1}, sampling(16))[0].size(), 1u);
  try {
    generate(*model, {&good, 1}, sampling(40), pages(*model, 2));
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(
        error.what(),
        HasSubstr(
            "prompt 5: keys and values of 44 tokens need 4 pages of 16, there is memory for 2 ("));
    EXPECT_THAT(error.what(), HasSubstr("kv_cache_gb"));
  }
  at::NoGradGuard no_grad;
  model->parameters().get("model.norm.weight").fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(error_of(good, sampling(1)),
              HasSubstr("logits are not finite: prompt 5, sample 0, token 0"));
}

}  // namespace
}  // namespace caprl
