// One row of the resize's horizontal pass, and the fixed-point weights of both passes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace caprl {

constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr int32_t kRounding = 1 << (kPrecisionBits - 1);

inline uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

/// For each output place the input places it averages and their fixed-point weights. Beyond its
/// own places an output's weights are 0.
struct Taps {
  static constexpr int64_t kGroup = 4;  // what resize_row takes at once

  int64_t stride = 0;            // weights kept per output place, whole groups
  std::vector<int64_t> first;    // [out] first input place
  std::vector<int64_t> count;    // [out] number of input places
  std::vector<int32_t> weights;  // [out, stride], below 2 · 2^22

  // weights = 256 · high + low
  std::vector<int16_t> high, low;  // [out, stride]

  /// Sets `high` and `low`.
  void split_weights() {
    for (const int32_t weight : weights) {
      high.push_back(static_cast<int16_t>(weight >> 8));
      low.push_back(static_cast<int16_t>(weight & 255));
    }
  }
};

constexpr int64_t kReadBeyond = 13;  // bytes that resize_row may read after a row's last pixel

/// `to` [3 · width]: outputs 0 … width − 1 from one row of pixels.
void resize_row(const uint8_t* row, const Taps& taps, int64_t width, uint8_t* to);

/// The same without vector instructions: the same bytes.
void resize_row_plain(const uint8_t* row, const Taps& taps, int64_t width, uint8_t* to);

}  // namespace caprl
