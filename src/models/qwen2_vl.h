// Qwen2VLForConditionalGeneration: Qwen2-VL.
#pragma once
#include "vl_model.h"

namespace caprl {

Architecture describe_qwen2_vl(const ConfigReader& config);

}  // namespace caprl
