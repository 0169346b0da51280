// Block layouts: github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h; all of them are
// little-endian and packed. The arithmetic is in float32, in the order of ggml's reference code.
#include "gguf_blocks.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Half.h>
#include <fmt/format.h>

#include <array>
#include <cstring>

#include "caprl/core/parallel.h"

namespace caprl::gguf {
namespace {

constexpr int kBlock = 32;
constexpr int kSuperBlock = 256;

float half_at(const std::byte* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return c10::Half(bits, c10::Half::from_bits());
}

int low_nibble(std::byte byte) { return std::to_integer<int>(byte & std::byte{15}); }
int high_nibble(std::byte byte) { return std::to_integer<int>(byte >> 4); }

/// Scale; 32 signed bytes.
void dequantise_q8_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (int i = 0; i < kBlock; ++i)
    values[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

/// Scale; 16 bytes, whose low halves are values 0 to 15 and whose high halves are 16 to 31.
void dequantise_q4_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (int i = 0; i < kBlock / 2; ++i) {
    values[i] = scale * static_cast<float>(low_nibble(block[2 + i]) - 8);
    values[i + kBlock / 2] = scale * static_cast<float>(high_nibble(block[2 + i]) - 8);
  }
}

/// Scale, minimum; values as in Q4_0.
void dequantise_q4_1(const std::byte* block, float* values) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  for (int i = 0; i < kBlock / 2; ++i) {
    values[i] = scale * static_cast<float>(low_nibble(block[4 + i])) + minimum;
    values[i + kBlock / 2] = scale * static_cast<float>(high_nibble(block[4 + i])) + minimum;
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};

/// Eight pairs of six bits in 12 bytes: those of the first four groups are whole in bytes 0–3 and
/// 4–7, those of the last four have their low halves in bytes 8–11, the rest in the others' top
/// bits.
ScaleAndMinimum unpack_scales(const std::byte* packed, int group) {
  const auto at = [&](int i) { return std::to_integer<int>(packed[i]); };
  if (group < 4) return {at(group) & 63, at(group + 4) & 63};
  return {(at(group + 4) & 15) | (at(group - 4) >> 6 << 4),
          (at(group + 4) >> 4) | (at(group) >> 6 << 4)};
}

/// Scale, minimum; 12 bytes of scales and minima of groups of 32; 128 bytes, of which each run of
/// 32 holds one group in its low halves and the next in its high halves.
void dequantise_q4_k(const std::byte* block, float* values) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  for (int group = 0; group < kSuperBlock / 32; ++group) {
    const ScaleAndMinimum own = unpack_scales(block + 4, group);
    const float step = scale * static_cast<float>(own.scale);
    const float offset = minimum * static_cast<float>(own.minimum);
    const std::byte* packed = block + 16 + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int value = group % 2 == 0 ? low_nibble(packed[i]) : high_nibble(packed[i]);
      values[group * 32 + i] = step * static_cast<float>(value) - offset;
    }
  }
}

/// 128 bytes of low halves, 64 bytes of the upper two bits, 16 signed scales of groups of 16,
/// scale. Each half of the block holds four runs of 32: their low halves are in 64 bytes (runs 0
/// and 1 low, 2 and 3 high), their upper bits in 32 bytes, two bits for each run.
void dequantise_q6_k(const std::byte* block, float* values) {
  const std::byte *low = block, *high = block + 128, *scales = block + 192;
  const float scale = half_at(block + 208);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, run = i % 128 / 32, lane = i % 32;
    const std::byte packed = low[half * 64 + run % 2 * 32 + lane];
    const int lower = run < 2 ? low_nibble(packed) : high_nibble(packed);
    const int upper = std::to_integer<int>(high[half * 32 + lane] >> (2 * run)) & 3;
    const float step = scale * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    values[i] = step * static_cast<float>((lower | upper << 4) - 32);
  }
}

constexpr std::array<BlockType, 8> kTypes = {{
    {0, "F32", 1, 4, at::kFloat, nullptr},
    {1, "F16", 1, 2, at::kHalf, nullptr},
    {30, "BF16", 1, 2, at::kBFloat16, nullptr},
    {8, "Q8_0", kBlock, 34, std::nullopt, dequantise_q8_0},
    {2, "Q4_0", kBlock, 18, std::nullopt, dequantise_q4_0},
    {3, "Q4_1", kBlock, 20, std::nullopt, dequantise_q4_1},
    {12, "Q4_K", kSuperBlock, 144, std::nullopt, dequantise_q4_k},
    {14, "Q6_K", kSuperBlock, 210, std::nullopt, dequantise_q6_k},
}};

/// What users know other types by.
constexpr std::pair<uint32_t, std::string_view> kOtherNames[] = {
    {6, "Q5_0"},   {7, "Q5_1"},     {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {13, "Q5_K"},
    {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"},
    {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},   {26, "I32"},
    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"}};

}  // namespace

const BlockType* find_type(uint32_t id) {
  for (const BlockType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

std::string describe_type(uint32_t id) {
  if (const BlockType* known = find_type(id)) return fmt::format("{} (type {})", known->name, id);
  for (const auto& [other, name] : kOtherNames)
    if (other == id) return fmt::format("{} (type {})", name, id);
  return fmt::format("type {}", id);
}

std::string supported_types() {
  std::string names;
  for (const BlockType& type : kTypes)
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

void dequantise(const BlockType& type, const std::byte* blocks, int64_t num_blocks, float* values) {
  constexpr int64_t kGrain = 1024;
  parallel_for(0, num_blocks, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      type.dequantise(blocks + i * type.num_bytes, values + i * type.num_values);
  });
}

}  // namespace caprl::gguf
