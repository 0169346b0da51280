// Qwen3VLForConditionalGeneration: Qwen3-VL, dense.
#pragma once
#include "vl_model.h"

namespace caprl {

Architecture describe_qwen3_vl(const ConfigReader& config);

}  // namespace caprl
