#include "resize_row.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <cstring>

namespace caprl {
namespace {

#ifdef __x86_64__
/// Four taps at a time, in 16-bit products whose sums are exact: Σ pixel · weight =
/// 256 · Σ pixel · high + Σ pixel · low.
[[gnu::target("avx2")]] void resize_row_avx2(const uint8_t* row, const Taps& taps, int64_t width,
                                             uint8_t* to) {
  const char z = -128;  // a zero
  // Pixels 0 to 3 as pairs (0, 1), (2, 3) of red and of green; of blue in the upper half.
  const __m256i order = _mm256_setr_epi8(0, z, 3, z, 6, z, 9, z, 1, z, 4, z, 7, z, 10, z,  //
                                         2, z, 5, z, 8, z, 11, z, z, z, z, z, z, z, z, z);
  for (int64_t x = 0; x < width; ++x, to += 3) {
    const uint8_t* from = row + 3 * taps.first[x];
    const int16_t* high = &taps.high[x * taps.stride];
    const int16_t* low = &taps.low[x * taps.stride];
    __m256i sum_high = _mm256_setzero_si256(), sum_low = _mm256_setzero_si256();
    for (int64_t k = 0; k < taps.count[x]; k += Taps::kGroup, from += 3 * Taps::kGroup) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
      int64_t four_high, four_low;
      std::memcpy(&four_high, high + k, sizeof(four_high));
      std::memcpy(&four_low, low + k, sizeof(four_low));
      sum_high =
          _mm256_add_epi32(sum_high, _mm256_madd_epi16(pixels, _mm256_set1_epi64x(four_high)));
      sum_low = _mm256_add_epi32(sum_low, _mm256_madd_epi16(pixels, _mm256_set1_epi64x(four_low)));
    }
    const __m256i pairs = _mm256_add_epi32(_mm256_slli_epi32(sum_high, 8), sum_low);
    const __m256i sums = _mm256_add_epi32(pairs, _mm256_shuffle_epi32(pairs, 0b10'11'00'01));
    const __m128i red_green = _mm256_castsi256_si128(sums);
    to[0] = to_byte(_mm_cvtsi128_si32(red_green) + kRounding);
    to[1] = to_byte(_mm_extract_epi32(red_green, 2) + kRounding);
    to[2] = to_byte(_mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)) + kRounding);
  }
}
#endif

}  // namespace

void resize_row_plain(const uint8_t* row, const Taps& taps, int64_t width, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x, to += 3) {
    const uint8_t* from = row + 3 * taps.first[x];
    const int32_t* weights = &taps.weights[x * taps.stride];
    int32_t sum[3] = {kRounding, kRounding, kRounding};
    for (int64_t k = 0; k < taps.count[x]; ++k, from += 3)
      for (int c = 0; c < 3; ++c) sum[c] += from[c] * weights[k];
    for (int c = 0; c < 3; ++c) to[c] = to_byte(sum[c]);
  }
}

void resize_row(const uint8_t* row, const Taps& taps, int64_t width, uint8_t* to) {
#ifdef __x86_64__
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
  if (has_avx2) return resize_row_avx2(row, taps, width, to);
#endif
  resize_row_plain(row, taps, width, to);
}

}  // namespace caprl
