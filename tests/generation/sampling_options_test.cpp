// Repetition penalty, stop texts, likeliest tokens: what annotation and evaluation add to sampling.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "caprl/core/error.h"
#include "requests.h"

namespace caprl {
namespace {

TEST(SamplingOptions, ARepetitionPenaltyIsForWhatWasSaid) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(25);
  params.stop_ids = {};
  params.temperature = 0;
  params.repetition_penalty = 1.7;
  const Results results = generate(*model, requests, params);
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      const auto& ids = results[r][s].ids;
      const at::Tensor logits =
          full_logits(*model, requests[r].prompt, requests[r].suffixes[s], ids);
      std::set<int64_t> seen(requests[r].prompt.ids.begin(), requests[r].prompt.ids.end());
      seen.insert(requests[r].suffixes[s].begin(), requests[r].suffixes[s].end());
      for (size_t t = 0; t < ids.size(); ++t) {
        at::Tensor row = logits[static_cast<int64_t>(t)].clone();
        const double expected = row.log_softmax(0)[ids[t]].item<double>();
        for (const int64_t id : seen) {
          const float logit = row[id].item<float>();
          row[id] = logit < 0 ? logit * 1.7f : logit / 1.7f;
        }
        ASSERT_EQ(ids[t], row.argmax().item<int64_t>()) << r << " " << s << " " << t;
        ASSERT_NEAR(results[r][s].logprobs[t], expected, 2e-5);
        seen.insert(ids[t]);
      }
    }
  expect_full_logprobs(*model, requests, results, 1.0, 2e-5);
  params.repetition_penalty = 1;
  EXPECT_NE(generate(*model, requests, params)[1][0].ids, results[1][0].ids);
}

/// check(sequence, logits of its tokens by a full pass) for all results.
template <class Check>
void for_each_sequence(const Model& model, const std::vector<GenerationRequest>& requests,
                       const Results& results, Check check) {
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s)
      check(results[r][s],
            full_logits(model, requests[r].prompt, requests[r].suffixes[s], results[r][s].ids));
}

TEST(SamplingOptions, TheLikeliestTokensAreReported) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(10);
  params.temperature = 0.5;
  params.num_top_logprobs = 3;
  const Results results = generate(*model, requests, params);
  for_each_sequence(*model, requests, results, [](const auto& sequence, const at::Tensor& logits) {
    ASSERT_EQ(sequence.top_logprobs.size(), sequence.ids.size());
    const at::Tensor logp = (logits / 0.5).log_softmax(1);
    const auto topk = logp.topk(3, 1);
    const at::Tensor &values = std::get<0>(topk), &ids = std::get<1>(topk);
    for (int64_t t = 0; t < static_cast<int64_t>(sequence.ids.size()); ++t)
      for (int64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(sequence.top_logprobs[t][i].id, ids[t][i].template item<int64_t>());
        EXPECT_NEAR(sequence.top_logprobs[t][i].logprob, values[t][i].template item<float>(), 6e-5);
      }
  });
}

// Whatever else changes what is sampled.
TEST(SamplingOptions, LogitsOfAskedForTokensAreReported) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(6);
  params.temperature = 0.5;
  params.repetition_penalty = 1.3;
  params.banned_ids = {7};
  params.scored_ids = {9, 7, 0};
  const Results results = generate(*model, requests, params);
  for_each_sequence(*model, requests, results, [&](const auto& sequence, const at::Tensor& logits) {
    ASSERT_EQ(sequence.scored_logits.size(), sequence.ids.size());
    for (int64_t t = 0; t < static_cast<int64_t>(sequence.ids.size()); ++t)
      for (size_t i = 0; i < 3; ++i)
        EXPECT_NEAR(sequence.scored_logits[t][i], logits[t][params.scored_ids[i]].item<float>(),
                    2e-5);
  });
  params.scored_ids = {-1};
  EXPECT_THROW(generate(*model, requests, params), Error);
}

/// Token i is the text "<i>", in two pieces: half of it is known only with the next token.
class NumberTokenizer : public Tokenizer {
 public:
  class Stream : public TokenStream {
   public:
    void push(int64_t id, std::string& text) override {
      text += held_ + fmt::format("<{}", id);
      held_ = ">";
    }
    void finish(std::string& text) override { text += held_; }

   private:
    std::string held_;
  };
  std::unique_ptr<TokenStream> stream(bool) const override { return std::make_unique<Stream>(); }
  std::vector<int64_t> encode(std::string_view, bool) const override { return {}; }
  void encode_plain(std::string_view, bool, std::vector<int64_t>&) const override {}
  std::optional<int64_t> token_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> find_added_token(std::string_view) const override {
    return std::nullopt;
  }
  const std::vector<int64_t>& added_ids() const override { return none_; }
  const std::vector<int64_t>& prefix_ids() const override { return none_; }
  int64_t vocab_size() const override { return kVocab; }

 private:
  std::vector<int64_t> none_;
};

TEST(SamplingOptions, StopTextsEndASampleAndAreCutOff) {
  const auto model = tiny_model(tiny_text_config());
  const auto requests = some_requests();
  SamplingParams params = sampling(30);
  params.stop_ids = {};
  const Results endless = generate(*model, requests, params);
  params.tokenizer = std::make_shared<NumberTokenizer>();
  params.stop_texts = {"7><", "33", "><2"};
  const Results results = generate(*model, requests, params);
  int64_t num_stopped = 0;
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      std::string whole;
      for (const int64_t id : endless[r][s].ids) whole += fmt::format("<{}>", id);
      size_t cut = std::string::npos;
      for (const std::string& stop : params.stop_texts) cut = std::min(cut, whole.find(stop));
      EXPECT_EQ(results[r][s].stopped, cut != std::string::npos);
      EXPECT_EQ(results[r][s].text, whole.substr(0, cut));
      const auto& ids = results[r][s].ids;
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), endless[r][s].ids.begin()));
      num_stopped += results[r][s].stopped;
    }
  EXPECT_GT(num_stopped, 5);
  params.tokenizer.reset();
  EXPECT_THROW(generate(*model, requests, params), Error);
}

}  // namespace
}  // namespace caprl
