#include "model_dirs.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/model.h"
#include "caprl/text/tokenizer.h"
#include "caprl/text/word_tokenizer.h"
#include "words.h"

namespace caprl::demo {
namespace {

using nlohmann::json;

json text_config(const Tokenizer& tokenizer) {
  return {{"hidden_size", 96},
          {"intermediate_size", 192},
          {"vocab_size", tokenizer.vocab_size()},
          {"hidden_act", "silu"},
          {"attention_dropout", 0.0},
          {"initializer_range", 0.1},
          {"rms_norm_eps", 1e-6},
          {"max_position_embeddings", 2048},
          {"use_sliding_window", false},
          {"tie_word_embeddings", true},
          {"use_cache", true},
          {"torch_dtype", "float32"},
          {"bos_token_id", *tokenizer.token_id("<|endoftext|>")},
          {"eos_token_id", *tokenizer.token_id("<|im_end|>")},
          {"pad_token_id", *tokenizer.token_id("<|endoftext|>")}};
}

json answerer_config(const Tokenizer& tokenizer) {
  json config = text_config(tokenizer);
  config.update({{"architectures", {"Qwen2ForCausalLM"}},
                 {"model_type", "qwen2"},
                 {"num_hidden_layers", 4},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"rope_theta", 100.0}});  // texts of a hundred tokens
  return config;
}

json captioner_config(const Tokenizer& tokenizer) {
  json config = text_config(tokenizer);
  config.update({{"architectures", {"Qwen2_5_VLForConditionalGeneration"}},
                 {"model_type", "qwen2_5_vl"},
                 {"num_hidden_layers", 3},
                 {"num_attention_heads", 3},
                 {"num_key_value_heads", 1},
                 {"rope_theta", 10000.0},
                 {"rope_scaling", {{"type", "mrope"}, {"mrope_section", {4, 6, 6}}}},
                 {"vision_start_token_id", *tokenizer.token_id("<|vision_start|>")},
                 {"vision_end_token_id", *tokenizer.token_id("<|vision_end|>")},
                 {"vision_token_id", *tokenizer.token_id("<|vision_pad|>")},
                 {"image_token_id", *tokenizer.token_id("<|image_pad|>")},
                 {"video_token_id", *tokenizer.token_id("<|video_pad|>")}});
  config["vision_config"] = {{"model_type", "qwen2_5_vl"},
                             {"depth", 2},
                             {"hidden_act", "silu"},
                             {"hidden_size", 64},
                             {"intermediate_size", 128},
                             {"num_heads", 4},
                             {"in_chans", 3},
                             {"out_hidden_size", 96},
                             {"patch_size", 14},
                             {"spatial_merge_size", 2},
                             {"spatial_patch_size", 14},
                             {"temporal_patch_size", 2},
                             {"window_size", 112},
                             {"fullatt_block_indexes", {1}},
                             {"tokens_per_second", 2}};
  return config;
}

/// Preprocessing of Qwen2.5-VL for images as small as the demonstration's.
json preprocessor_config() {
  return {{"image_processor_type", "Qwen2VLImageProcessor"},
          {"processor_class", "Qwen2_5_VLProcessor"},
          {"patch_size", 14},
          {"temporal_patch_size", 2},
          {"merge_size", 2},
          {"min_pixels", 3136},
          {"max_pixels", 12845056},
          {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
          {"image_std", {0.26862954, 0.26130258, 0.27577711}}};
}

/// Residual branches start small and the patch embedding, whose input is wide, too: such small
/// models train better.
double initial_scale(const std::string& name) {
  if (name.find("patch_embed") != std::string::npos) return 0.3;
  for (const char* part : {"o_proj.weight", "down_proj.weight", "attn.proj.weight"})
    if (name.ends_with(part)) return 0.25;
  return 1.0;
}

void write_weights(const std::filesystem::path& dir, const json& config, uint64_t seed) {
  const auto model = Model::random(config, seed, {});
  NamedTensors tensors;
  for (const ParameterSpec& spec : model->parameters().specs())
    tensors.emplace_back(spec.name,
                         model->parameters().get(spec.name).detach() * initial_scale(spec.name));
  write_safetensors(dir / "model.safetensors", tensors);
}

void write_json(const std::filesystem::path& file, const json& content) {
  write_file_atomic(file, content.dump(2) + "\n");
}

void write_directory(const std::filesystem::path& dir, bool images, uint64_t seed) {
  std::filesystem::create_directories(dir);
  WordTokenizerSpec spec;
  spec.words = all_words();
  spec.images = images;
  write_word_tokenizer(dir, spec);
  const auto tokenizer = Tokenizer::load(dir);
  const json config = images ? captioner_config(*tokenizer) : answerer_config(*tokenizer);
  write_json(dir / "config.json", config);
  write_json(dir / "generation_config.json", {{"bos_token_id", config["bos_token_id"]},
                                              {"eos_token_id", config["eos_token_id"]},
                                              {"pad_token_id", config["pad_token_id"]}});
  if (images) write_json(dir / "preprocessor_config.json", preprocessor_config());
  write_weights(dir, config, seed);
}

}  // namespace

void write_captioner(const std::filesystem::path& dir, uint64_t seed) {
  write_directory(dir, true, seed);
}
void write_answerer(const std::filesystem::path& dir, uint64_t seed) {
  write_directory(dir, false, seed);
}

}  // namespace caprl::demo
