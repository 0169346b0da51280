// Requests to generate for, and comparisons of what came of them.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "caprl/generation/generator.h"
#include "test_models.h"

namespace caprl {

using Results = std::vector<std::vector<GeneratedSequence>>;
using Suffixes = std::vector<std::vector<int64_t>>;

inline SamplingParams sampling(int64_t max_new_tokens) {
  SamplingParams params;
  params.max_new_tokens = max_new_tokens;
  params.stop_ids = {1};
  params.seed = 17;
  params.step = 4;
  return params;
}

/// Prompts of several lengths, with 1 to 6 samples, some of them with suffixes.
inline std::vector<GenerationRequest> some_requests() {
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 5; ++i) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt.ids = some_ids(3 + 4 * static_cast<int64_t>(i % 3), i);
    request.prompt_id = 1000 + i;
    for (uint64_t s = 0; s < 1 + (i * 3) % 7; ++s)
      request.suffixes.push_back(some_ids(static_cast<int64_t>((i + s) % 3), 10 * i + s));
  }
  return requests;
}

/// Bit for bit.
inline void expect_same(const std::vector<GeneratedSequence>& a,
                        const std::vector<GeneratedSequence>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t s = 0; s < a.size(); ++s) {
    EXPECT_EQ(a[s].ids, b[s].ids);
    EXPECT_EQ(a[s].stopped, b[s].stopped);
    EXPECT_EQ(a[s].logprobs, b[s].logprobs);
  }
}

/// log p of each token at a temperature, by one pass in which nothing is cached.
inline std::vector<double> full_logprobs(const Model& model, const GenerationRequest& request,
                                         size_t sample, const std::vector<int64_t>& ids,
                                         double temperature) {
  const at::Tensor logits = full_logits(model, request.prompt, request.suffixes[sample], ids);
  const at::Tensor logp = (logits.to(at::kDouble) / temperature).log_softmax(1);
  std::vector<double> result;
  for (size_t t = 0; t < ids.size(); ++t)
    result.push_back(logp[static_cast<int64_t>(t)][ids[t]].item<double>());
  return result;
}

inline void expect_full_logprobs(const Model& model, const std::vector<GenerationRequest>& requests,
                                 const Results& results, double temperature, double tolerance) {
  for (size_t r = 0; r < requests.size(); ++r)
    for (size_t s = 0; s < results[r].size(); ++s) {
      const GeneratedSequence& sequence = results[r][s];
      const auto expected = full_logprobs(model, requests[r], s, sequence.ids, temperature);
      for (size_t t = 0; t < expected.size(); ++t)
        EXPECT_NEAR(sequence.logprobs[t], expected[t], tolerance) << r << " " << s << " " << t;
    }
}

}  // namespace caprl
