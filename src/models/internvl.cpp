#include "internvl.h"

#include <cmath>

#include "intern_vit.h"
#include "internlm2.h"
#include "qwen3.h"

namespace caprl {
namespace {

constexpr int64_t kMaxSide = 1 << 16;

/// One number, or a list of two equal ones.
int64_t side(const ConfigReader& config, std::string_view key, int64_t fallback) {
  const auto sides = config.integer_list(key);
  if (sides.empty()) return fallback;
  for (const int64_t value : sides)
    if (value != sides[0] || value < 1 || value > kMaxSide)
      config.fail(key, "must be one size, or two equal ones, from 1 to {}", kMaxSide);
  return sides[0];
}

int64_t read_shuffle(const ConfigReader& config) {
  const double ratio = config.positive_number_or("downsample_ratio", 0.5);
  const auto shuffle = std::llround(1 / ratio);
  if (shuffle < 1 || std::abs(static_cast<double>(shuffle) * ratio - 1) > 1e-9)
    config.fail("downsample_ratio", "{} is not one over a whole number", ratio);
  return shuffle;
}

/// The keys that both layouts have in vision_config.
InternVitConfig read_vit(const ConfigReader& config, const ConfigReader& vision) {
  InternVitConfig vit;
  vit.depth = vision.positive_or("num_hidden_layers", 24, kMaxLayers);
  vit.in_channels = vision.positive_or("num_channels", 3, 64);
  vit.patch_size = side(vision, "patch_size", 14);
  vit.tile_size = side(vision, "image_size", 448);
  vit.shuffle = read_shuffle(config);
  vit.block.hidden_size = vision.positive_or("hidden_size", 1024, kMaxWidth);
  vit.block.intermediate_size = vision.positive_or("intermediate_size", 4096, kMaxWidth);
  vit.block.num_heads = vision.positive_or("num_attention_heads", 16, kMaxWidth);
  vit.block.norm_eps = vision.positive_number_or("layer_norm_eps", 1e-6);
  vit.block.activation = read_activation(vision, "hidden_act", Activation::kGelu);
  if (vit.block.hidden_size % vit.block.num_heads != 0)
    vision.fail("hidden_size", "{} is no multiple of num_attention_heads {}", vit.block.hidden_size,
                vit.block.num_heads);
  if (vit.tile_size % (vit.patch_size * vit.shuffle) != 0)
    vision.fail("image_size", "{} is no multiple of {} patches of {}", vit.tile_size, vit.shuffle,
                vit.patch_size);
  if (const std::string norm = vision.string_or("norm_type", "layer_norm"); norm != "layer_norm")
    vision.fail("norm_type", "is \"{}\"; only \"layer_norm\" is supported", norm);
  return vit;
}

DecoderConfig read_language_model(const ConfigReader& text, std::string_view family) {
  if (family == "qwen3") return read_qwen3_decoder(text, {});
  if (family == "internlm2") return read_internlm2_decoder(text);
  DecoderConfig config = read_decoder_config(text, {});
  config.qkv_bias = family == "qwen2";
  return config;
}

VisionTokens read_tokens(const ConfigReader& config, std::string_view key) {
  VisionTokens tokens{.image = std::nullopt, .image_text = "<IMG_CONTEXT>", .never_sampled = {}};
  if (config.has(key)) {
    tokens.image = config.id_or(key, 0);
    tokens.never_sampled = {*tokens.image};
  }
  return tokens;
}

/// "Qwen3ForCausalLM" → "qwen3", by the original layout's llm_config.
std::string language_family(const ConfigReader& text) {
  const auto names = text.strings_or("architectures", {});
  const std::string name = names.empty() ? "" : names[0];
  if (name == "Qwen2ForCausalLM") return "qwen2";
  if (name == "Qwen3ForCausalLM") return "qwen3";
  if (name == "InternLM2ForCausalLM") return "internlm2";
  if (name == "LlamaForCausalLM") return "llama";
  text.fail("architectures",
            "names \"{}\"; supported are Qwen2ForCausalLM, Qwen3ForCausalLM, InternLM2ForCausalLM, "
            "LlamaForCausalLM",
            name);
}

}  // namespace

Architecture describe_internvl_chat(const ConfigReader& config) {
  const auto text_reader = config.section("llm_config");
  if (!text_reader) config.fail("llm_config", "is missing");
  const std::string family = language_family(*text_reader);
  const DecoderConfig text = read_language_model(*text_reader, family);

  const ConfigReader vision = vision_section(config);
  InternVitConfig vit = read_vit(config, vision);
  if (vision.boolean_or("qk_normalization", false))
    vision.fail("qk_normalization", "is true; only false is supported");
  if (const std::string version = config.string_or("ps_version", "v2"); version != "v2")
    config.fail("ps_version", "is \"{}\"; only \"v2\" is supported", version);
  if (config.integer_list("select_layer") != std::vector<int64_t>{-1} && config.has("select_layer"))
    config.fail("select_layer", "is not -1; only the last layer is supported");
  vit.out_size = text.hidden_size;
  vit.block.qkv_bias = vision.boolean_or("qkv_bias", true);
  vit.block.scale1 = "ls1";
  vit.block.scale2 = "ls2";
  vit.projector = ProjectorNames{"0", "1", "3"};

  Architecture architecture =
      describe_vl_model(config, *text_reader, text, describe_intern_vit(vit),
                        read_tokens(config, "img_context_token_id"));
  architecture.renamed_prefixes = {
      {"vision_model.encoder.layers.", "visual.blocks."},
      {"vision_model.embeddings.class_embedding", "visual.cls_token"},
      {"vision_model.embeddings.patch_embedding.", "visual.patch_embed."},
      {"vision_model.embeddings.position_embedding", "visual.pos_embed"},
      {"mlp1.", "visual.merger."}};
  if (family == "internlm2") rename_internlm2("language_model.", architecture);
  architecture.renamed_prefixes.insert(
      architecture.renamed_prefixes.end(),
      {{"language_model.model.", "model."}, {"language_model.lm_head.", "lm_head."}});
  return architecture;
}

Architecture describe_internvl_hf(const ConfigReader& config) {
  const auto text_reader = config.section("text_config");
  if (!text_reader) config.fail("text_config", "is missing");
  const std::string family = text_reader->string_or("model_type", "qwen2");
  if (family != "qwen2" && family != "qwen3" && family != "llama")
    text_reader->fail("model_type", "is \"{}\"; supported are \"qwen2\", \"qwen3\", \"llama\"",
                      family);
  const DecoderConfig text = read_language_model(*text_reader, family);

  const ConfigReader vision = vision_section(config);
  InternVitConfig vit = read_vit(config, vision);
  if (vision.boolean_or("use_qk_norm", false))
    vision.fail("use_qk_norm", "is true; only false is supported");
  if (!vision.boolean_or("use_mean_pooling", true))
    vision.fail("use_mean_pooling", "is false; only true is supported");
  if (config.has("vision_feature_layer") &&
      config.integer_list("vision_feature_layer") != std::vector<int64_t>{-1})
    config.fail("vision_feature_layer", "is not -1; only the last layer is supported");
  vit.out_size = text.hidden_size;
  vit.block.qkv = {"attention.q_proj", "attention.k_proj", "attention.v_proj"};
  vit.block.qkv_bias = vision.boolean_or("attention_bias", false);
  vit.block.proj = "attention.projection_layer";
  vit.block.norm1 = "layernorm_before";
  vit.block.norm2 = "layernorm_after";
  vit.block.scale1 = "lambda_1";
  vit.block.scale2 = "lambda_2";
  vit.projector = ProjectorNames{"layer_norm", "linear_1", "linear_2"};

  Architecture architecture = describe_vl_model(
      config, *text_reader, text, describe_intern_vit(vit), read_tokens(config, "image_token_id"));
  architecture.renamed_prefixes.clear();
  for (const std::string_view root : {"model.", ""}) {
    const std::string tower = fmt::format("{}vision_tower.", root);
    architecture.renamed_prefixes.insert(
        architecture.renamed_prefixes.end(),
        {{tower + "encoder.layer.", "visual.blocks."},
         {tower + "embeddings.cls_token", "visual.cls_token"},
         {tower + "embeddings.patch_embeddings.projection.", "visual.patch_embed."},
         {tower + "embeddings.position_embeddings", "visual.pos_embed"},
         {fmt::format("{}multi_modal_projector.", root), "visual.merger."}});
  }
  architecture.renamed_prefixes.insert(architecture.renamed_prefixes.end(),
                                       {{"model.language_model.", "model."},
                                        {"language_model.model.", "model."},
                                        {"lm_head.", "lm_head."},
                                        {"language_model.lm_head.", "lm_head."}});
  return architecture;
}

}  // namespace caprl
