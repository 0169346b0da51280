// Qwen2ForCausalLM: the text models Qwen2 and Qwen2.5.
#pragma once
#include "text_model.h"

namespace caprl {

Architecture describe_qwen2(const ConfigReader& config);

}  // namespace caprl
