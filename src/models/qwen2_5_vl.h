// Qwen2_5_VLForConditionalGeneration: Qwen2.5-VL, and with it CapRL-3B.
#pragma once
#include "vl_model.h"

namespace caprl {

Architecture describe_qwen2_5_vl(const ConfigReader& config);

}  // namespace caprl
