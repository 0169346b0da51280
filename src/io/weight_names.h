// Names of weight files in a Hugging Face model directory.
#pragma once
namespace caprl {

inline constexpr const char* kSingleWeightFile = "model.safetensors";
inline constexpr const char* kWeightIndex = "model.safetensors.index.json";

}  // namespace caprl
