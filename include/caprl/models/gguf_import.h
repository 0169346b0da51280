// From llama.cpp's files to Hugging Face model directories.
#pragma once
#include <c10/core/ScalarType.h>

#include <filesystem>

namespace caprl {

/// Writes `dir` (config.json, generation_config.json, model.safetensors, tokenizer.json,
/// tokenizer_config.json) from a GGUF file of general.architecture llama, qwen2 or qwen3 with a
/// byte-level BPE tokenizer. Quantised weights are dequantised, then rounded to `dtype`, all of
/// them in memory at once. `dir` appears when it is whole. InputError for what GgufFile refuses,
/// for another architecture or tokenizer, for a setting that caprl's models do not have (rope
/// scaling, sliding windows, experts), for tensors that are missing, left over or of the wrong
/// shape, and if `dir` exists.
void import_gguf(const std::filesystem::path& gguf, const std::filesystem::path& dir,
                 at::ScalarType dtype);

}  // namespace caprl
