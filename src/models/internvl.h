// InternVL 2 to 3.5 in both published layouts: InternVLChatModel (the original) and
// InternVLForConditionalGeneration (the "-HF" twins).
#pragma once
#include "vl_model.h"

namespace caprl {

Architecture describe_internvl_chat(const ConfigReader& config);
Architecture describe_internvl_hf(const ConfigReader& config);

}  // namespace caprl
