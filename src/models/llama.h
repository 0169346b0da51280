// LlamaForCausalLM: Llama 2 and 3, SmolLM2 and others of that architecture.
#pragma once
#include "text_model.h"

namespace caprl {

Architecture describe_llama(const ConfigReader& config);

}  // namespace caprl
