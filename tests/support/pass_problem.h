// Passes of models that have the proportions of the published ones: configs, and groups of images,
// text and branches.
#pragma once
#include <nlohmann/json.hpp>

#include "caprl/models/model.h"
#include "caprl/models/pass_memory.h"

namespace caprl::test {

using nlohmann::json;

/// Proportions of the published models: an inner width five times the hidden one, keys for some
/// heads of queries each.
inline json decoder(const char* architecture, int64_t kv_heads) {
  return {{"architectures", {architecture}},
          {"hidden_size", 128},
          {"intermediate_size", 640},
          {"num_hidden_layers", 6},
          {"num_attention_heads", 4},
          {"num_key_value_heads", kv_heads},
          {"head_dim", 32},
          {"vocab_size", 512},
          {"rms_norm_eps", 1e-6},
          {"tie_word_embeddings", true}};
}

inline json with_vision(const char* architecture, json text, json vision) {
  json config = {
      {"architectures", {architecture}}, {"image_token_id", 500}, {"tie_word_embeddings", true}};
  text.erase("architectures");
  config["text_config"] = std::move(text);
  config["vision_config"] = std::move(vision);
  return config;
}

inline json qwen2_5_vl() {
  json text = decoder("", 2);
  text["rope_scaling"] = {{"type", "mrope"}, {"mrope_section", {4, 6, 6}}};
  return with_vision("Qwen2_5_VLForConditionalGeneration", text,
                     {{"depth", 6},
                      {"hidden_size", 80},
                      {"intermediate_size", 216},
                      {"num_heads", 2},
                      {"out_hidden_size", 128},
                      {"window_size", 112},
                      {"fullatt_block_indexes", {2, 5}}});
}

inline json qwen3_vl() {
  json text = decoder("", 2);
  text["rope_scaling"] = {{"mrope_section", {6, 5, 5}}, {"mrope_interleaved", true}};
  return with_vision("Qwen3VLForConditionalGeneration", text,
                     {{"depth", 6},
                      {"hidden_size", 80},
                      {"intermediate_size", 320},
                      {"num_heads", 2},
                      {"patch_size", 14},
                      {"num_position_embeddings", 256},
                      {"deepstack_visual_indexes", {1, 3}},
                      {"out_hidden_size", 128}});
}

inline json qwen2_vl() {
  json config = decoder("Qwen2VLForConditionalGeneration", 2);
  config["image_token_id"] = 500;
  config["rope_scaling"] = {{"type", "mrope"}, {"mrope_section", {4, 6, 6}}};
  config["vision_config"] = {
      {"depth", 6}, {"embed_dim", 80}, {"hidden_size", 128}, {"num_heads", 2}, {"mlp_ratio", 4}};
  return config;
}

inline json internvl() {
  json text = decoder("", 4);
  text["model_type"] = "qwen3";
  return with_vision("InternVLForConditionalGeneration", text,
                     {{"num_hidden_layers", 6},
                      {"hidden_size", 80},
                      {"intermediate_size", 320},
                      {"num_attention_heads", 2},
                      {"image_size", 224},
                      {"patch_size", 14},
                      {"attention_bias", true}});
}

inline constexpr int64_t kSide = 16;  // patches of an image's sides
inline constexpr int64_t kGroups = 2, kText = 20, kBranch = 100;

/// A prefix of an image and some text, and branches, all of the same lengths.
inline std::vector<BranchedSequence> trees(const Model& model, int64_t branches) {
  const int64_t columns =
      model.parameters().contains("visual.patch_embed.weight") ? 3 * 196 : 6 * 196;
  const auto image_id = model.traits().image_token_id;
  std::vector<BranchedSequence> all;
  for (int64_t g = 0; g < kGroups; ++g) {
    BranchedSequence& tree = all.emplace_back();
    if (image_id) {
      auto patches = std::make_shared<ImagePatches>();
      *patches = {1, kSide, kSide, columns, {}};
      patches->values.assign(static_cast<size_t>(kSide * kSide * columns), 0.25F);
      const int64_t merge = model.traits().merge_size;
      tree.prefix.ids.assign(static_cast<size_t>(patches->tokens(merge)), *image_id);
      tree.prefix.images.push_back(std::move(patches));
    }
    for (int64_t i = 0; i < kText; ++i) tree.prefix.ids.push_back(i);
    for (int64_t b = 0; b < branches; ++b)
      tree.branches.emplace_back(static_cast<size_t>(kBranch), 7 + b);
  }
  return all;
}

/// What trees() gives, as plans see it.
inline PassShape shape_of(const std::vector<BranchedSequence>& trees) {
  PassShape shape;
  shape.groups = static_cast<double>(trees.size());
  shape.prefix = static_cast<double>(trees[0].prefix.ids.size());
  shape.branches = static_cast<double>(trees[0].branches.size());
  shape.branch = kBranch;
  for (const BranchedSequence& tree : trees)
    for (const auto& image : tree.prefix.images)
      shape.patches += static_cast<double>(image->rows());
  return shape;
}

}  // namespace caprl::test
