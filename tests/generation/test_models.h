// Tiny random models, prompts for them, and what they say without a cache.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "caprl/generation/generator.h"
#include "caprl/models/model.h"

namespace caprl {

inline constexpr int64_t kVocab = 61;

/// Weights are large enough for logits that differ by several units.
inline nlohmann::json tiny_text_config() {
  return {{"architectures", {"Qwen2ForCausalLM"}},
          {"model_type", "qwen2"},
          {"vocab_size", kVocab},
          {"hidden_size", 24},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"initializer_range", 0.4},
          {"eos_token_id", 1}};
}

inline nlohmann::json tiny_vision_config() {
  nlohmann::json config = tiny_text_config();
  config["architectures"] = {"Qwen2_5_VLForConditionalGeneration"};
  config["model_type"] = "qwen2_5_vl";
  config["rope_scaling"] = {{"type", "mrope"}, {"mrope_section", {1, 1, 0}}};
  config["vision_start_token_id"] = 56;
  config["vision_end_token_id"] = 57;
  config["vision_token_id"] = 58;
  config["image_token_id"] = 59;
  config["video_token_id"] = 60;
  config["vision_config"] = {{"depth", 2},
                             {"hidden_size", 16},
                             {"intermediate_size", 24},
                             {"num_heads", 2},
                             {"in_chans", 3},
                             {"out_hidden_size", 24},
                             {"patch_size", 2},
                             {"spatial_patch_size", 2},
                             {"spatial_merge_size", 2},
                             {"temporal_patch_size", 2},
                             {"window_size", 8},
                             {"fullatt_block_indexes", {1}},
                             {"hidden_act", "silu"}};
  return config;
}

inline std::unique_ptr<Model> tiny_model(const nlohmann::json& config,
                                         at::ScalarType dtype = at::kFloat) {
  return Model::random(config, 3, {.dtype = dtype});
}

/// `length` ids below `limit` that depend on `seed`.
inline std::vector<int64_t> some_ids(int64_t length, uint64_t seed, int64_t limit = 50) {
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(rng.below(limit, static_cast<uint64_t>(i)));
  return ids;
}

/// Text around an image of grid (1, h, w) patches with values that depend on `seed`.
inline Prompt image_prompt(int64_t h, int64_t w, uint64_t seed) {
  ImagePatches patches;
  patches.grid_t = 1;
  patches.grid_h = h;
  patches.grid_w = w;
  patches.columns = 3 * 2 * 2 * 2;
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
  for (int64_t i = 0; i < h * w * patches.columns; ++i)
    patches.values.push_back(static_cast<float>(rng.normal(static_cast<uint64_t>(i))));
  Prompt prompt;
  prompt.ids = {3, 4, 56};
  prompt.ids.insert(prompt.ids.end(), h * w / 4, 59);
  prompt.ids.insert(prompt.ids.end(), {57, 5, 6, 7});
  prompt.images.push_back(std::make_shared<const ImagePatches>(std::move(patches)));
  return prompt;
}

/// Logits [n, V] from which each of a continuation's n tokens is drawn, by one pass over
/// prompt + suffix + continuation.
inline at::Tensor full_logits(const Model& model, const Prompt& prompt,
                              const std::vector<int64_t>& suffix,
                              const std::vector<int64_t>& continuation) {
  at::NoGradGuard no_grad;
  std::vector<int64_t> branch = suffix;
  branch.insert(branch.end(), continuation.begin(), continuation.end());
  const BranchedSequence tree{prompt, {branch}};
  const BranchedBatch batch = pack({&tree, 1}, model);
  BranchedAttention attention(batch.layout, at::kCPU);
  const at::Tensor hidden = model.decode(model.embed(batch), batch.positions, attention);
  const auto first = static_cast<int64_t>(prompt.ids.size() + suffix.size()) - 1;
  return hidden.narrow(0, first, static_cast<int64_t>(continuation.size()))
      .matmul(model.head_weight().t());
}

}  // namespace caprl
