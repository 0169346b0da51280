// Qwen3ForCausalLM: no biases, normalised queries and keys, a head size of its own.
#pragma once
#include "text_model.h"

namespace caprl {

Architecture describe_qwen3(const ConfigReader& config);
/// The decoder of Qwen3, wherever its keys stand.
DecoderConfig read_qwen3_decoder(const ConfigReader& text, const RopeDefaults& rope);

}  // namespace caprl
