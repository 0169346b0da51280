// Decoding whose passes are recorded and replayed beside decoding that launches every operation.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "caprl/generation/generator.h"
#include "caprl/models/presets.h"
#include "on_kernels/switch.h"

namespace caprl {
namespace {

std::unique_ptr<Model> small_model() {
  nlohmann::json config = preset_config("qwen2_5_tiny");
  config["hidden_size"] = 128;  // two heads of 64, of which there are kernels
  config["num_attention_heads"] = 2;
  config["num_key_value_heads"] = 1;
  config["initializer_range"] = 0.2;
  return Model::random(config, 3, {.dtype = at::kBFloat16, .device = current_device()});
}

using Sequences = std::vector<std::vector<GeneratedSequence>>;

/// `groups` prompts of 20 tokens and more, four samples each.
Sequences generate_some(const Model& model, int64_t groups, std::vector<int64_t> stop_ids,
                        bool enforce_eager) {
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < groups; ++i) {
    GenerationRequest& request = requests.emplace_back();
    for (int64_t t = 0; t < 20 + 3 * i; ++t) request.prompt.ids.push_back((7 * t + 31 * i) % 490);
    request.prompt_id = static_cast<uint64_t>(i);
    request.suffixes.resize(4);
  }
  SamplingParams params;
  params.max_new_tokens = 20;
  params.stop_ids = std::move(stop_ids);
  GenerationLimits limits;
  limits.enforce_eager = enforce_eager;
  return generate(model, requests, params, limits);
}

std::vector<std::vector<int64_t>> ids(const Sequences& groups) {
  std::vector<std::vector<int64_t>> all;
  for (const auto& group : groups)
    for (const GeneratedSequence& sequence : group) all.push_back(sequence.ids);
  return all;
}

TEST(GenerationOnKernels, RecordedPassesGiveTheSameTokens) {
  const OnKernels on;
  const auto model = small_model();
  EXPECT_EQ(ids(generate_some(*model, 2, {}, false)), ids(generate_some(*model, 2, {}, true)));
}

TEST(GenerationOnKernels, PaddedPassesDo) {
  const OnKernels on;
  const auto model = small_model();
  std::vector<int64_t> stops;  // some captions end early, so that the number of sequences changes
  for (int64_t id = 0; id < 490; id += 9) stops.push_back(id);
  const auto recorded = generate_some(*model, 3, stops, false);
  const auto eager = generate_some(*model, 3, stops, true);
  if (current_device().is_cpu()) {
    EXPECT_EQ(ids(recorded), ids(eager));
    return;
  }
  // A GPU's products round otherwise for another number of rows, until tokens part.
  for (size_t g = 0; g < eager.size(); ++g)
    for (size_t i = 0; i < eager[g].size(); ++i) {
      const GeneratedSequence &a = recorded[g][i], &b = eager[g][i];
      for (size_t t = 0; t < std::min(a.ids.size(), b.ids.size()) && a.ids[t] == b.ids[t]; ++t)
        EXPECT_NEAR(a.logprobs[t], b.logprobs[t], 0.15) << g << ", " << i << ", " << t;
      EXPECT_EQ(a.ids[0], b.ids[0]);
    }
}

}  // namespace
}  // namespace caprl
