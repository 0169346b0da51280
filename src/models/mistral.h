// MistralForCausalLM: the architecture of Llama, released with and without a sliding window.
#pragma once
#include "text_model.h"

namespace caprl {

Architecture describe_mistral(const ConfigReader& config);

}  // namespace caprl
