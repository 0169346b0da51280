#include "internlm2.h"

namespace caprl {

DecoderConfig read_internlm2_decoder(const ConfigReader& text) {
  DecoderConfig config = read_decoder_config(text, {});
  config.packed_qkv = true;
  if (text.boolean_or("bias", false)) text.fail("bias", "is true; only false is supported");
  return config;
}

void rename_internlm2(const std::string& prefix, Architecture& architecture) {
  architecture.renamed_prefixes.insert(architecture.renamed_prefixes.end(),
                                       {{prefix + "model.tok_embeddings.", "model.embed_tokens."},
                                        {prefix + "output.", "lm_head."}});
  architecture.renamed_parts = {
      {".attention.wqkv.", ".self_attn.qkv_proj."}, {".attention.wo.", ".self_attn.o_proj."},
      {".feed_forward.w1.", ".mlp.gate_proj."},     {".feed_forward.w3.", ".mlp.up_proj."},
      {".feed_forward.w2.", ".mlp.down_proj."},     {".attention_norm.", ".input_layernorm."},
      {".ffn_norm.", ".post_attention_layernorm."},
  };
}

Architecture describe_internlm2(const ConfigReader& config) {
  Architecture architecture = describe_text_model(config, read_internlm2_decoder(config));
  rename_internlm2("", architecture);
  return architecture;
}

}  // namespace caprl
