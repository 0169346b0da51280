// How the tensor types of GGUF files store their values.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caprl::gguf {

/// Consecutive values of a row are stored in blocks of `num_values` in `num_bytes`.
struct BlockType {
  uint32_t id;
  std::string_view name;
  uint32_t num_values;
  uint32_t num_bytes;
  std::optional<at::ScalarType> dtype;                        // of types that are no blocks
  void (*dequantise)(const std::byte* block, float* values);  // null for those
};

/// Null for a type that cannot be read.
const BlockType* find_type(uint32_t id);
/// "Q5_K (type 13)", "type 99".
std::string describe_type(uint32_t id);
/// "F32, F16, …".
std::string supported_types();

/// `num_blocks` blocks one after another; runs on torch's threads.
void dequantise(const BlockType& type, const std::byte* blocks, int64_t num_blocks, float* values);

}  // namespace caprl::gguf
