// InternLM2ForCausalLM: the decoder of Llama under other names, with packed queries, keys and
// values.
#pragma once
#include "text_model.h"

namespace caprl {

Architecture describe_internlm2(const ConfigReader& config);
/// Their names under `prefix` in weight files → those of the decoder.
void rename_internlm2(const std::string& prefix, Architecture& architecture);
DecoderConfig read_internlm2_decoder(const ConfigReader& text);

}  // namespace caprl
