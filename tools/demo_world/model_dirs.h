// The demonstration's model directories before any training.
#pragma once
#include <cstdint>
#include <filesystem>

namespace caprl::demo {

/// A vision-language model of the Qwen2.5-VL architecture (0.5 M parameters, 56-pixel images) and
/// its tokenizer.
void write_captioner(const std::filesystem::path& dir, uint64_t seed);
/// A text model of the Qwen2.5 architecture (0.35 M parameters) with the same vocabulary.
void write_answerer(const std::filesystem::path& dir, uint64_t seed);

}  // namespace caprl::demo
