// Pillow's two-pass bicubic in 22-bit fixed point (src/libImaging/Resample.c of Pillow, MIT-CMU
// licence, is the reference for the arithmetic: the order of every floating-point operation below
// decides last bits).
#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/image/image.h"
#include "make_image.h"
#include "resize_row.h"

namespace caprl {
namespace {

constexpr double kSupport = 2.0;  // of the bicubic kernel, in input pixels at scale 1

double bicubic(double x) {
  const double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

Taps make_taps(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kSupport * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Taps taps;
  const int64_t most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.stride = (most + Taps::kGroup - 1) / Taps::kGroup * Taps::kGroup;
  taps.first.resize(out);
  taps.count.resize(out);
  taps.weights.resize(out * taps.stride);
  std::vector<double> exact(taps.stride);
  for (int64_t x = 0; x < out; ++x) {
    const double center = (x + 0.5) * scale;
    // NOLINTBEGIN(bugprone-incorrect-roundings): as Pillow rounds
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), in);
    // NOLINTEND(bugprone-incorrect-roundings)
    double sum = 0.0;
    for (int64_t k = 0; k < end - first; ++k) {
      exact[k] = bicubic((k + first - center + 0.5) * inverse);
      sum += exact[k];
    }
    for (int64_t k = 0; k < end - first; ++k) {
      if (sum != 0.0) exact[k] /= sum;
      const double fixed = exact[k] * (1 << kPrecisionBits);
      taps.weights[x * taps.stride + k] =
          static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    taps.first[x] = first;
    taps.count[x] = end - first;
  }
  taps.split_weights();
  return taps;
}

RgbImage resize_rows(const RgbImage& image, int64_t width) {
  const Taps taps = make_taps(image.width, width);
  RgbImage result = make_image(width, image.height);
  const int64_t row_bytes = 3 * image.width;
  std::vector<uint8_t> padded(row_bytes + kReadBeyond);
  for (int64_t y = 0; y < image.height; ++y) {
    std::copy_n(&image.pixels[row_bytes * y], row_bytes, padded.begin());
    resize_row(padded.data(), taps, width, &result.pixels[3 * width * y]);
  }
  return result;
}

// The columns' inner loops, compiled for AVX2 as well and chosen at run time. Integers only, so
// every version gives the same bytes.
#define CAPRL_CLONES [[gnu::target_clones("avx2", "default")]]

CAPRL_CLONES void add_weighted(const uint8_t* from, int32_t weight, int64_t count, int32_t* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += from[i] * weight;
}

CAPRL_CLONES void to_bytes(const int32_t* sums, int64_t count, uint8_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = to_byte(sums[i]);
}

RgbImage resize_columns(const RgbImage& image, int64_t height) {
  const Taps taps = make_taps(image.height, height);
  const int64_t row_bytes = 3 * image.width;
  RgbImage result = make_image(image.width, height);
  std::vector<int32_t> sums(row_bytes);
  for (int64_t y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kRounding);
    for (int64_t k = 0; k < taps.count[y]; ++k)
      add_weighted(&image.pixels[row_bytes * (taps.first[y] + k)],
                   taps.weights[y * taps.stride + k], row_bytes, sums.data());
    to_bytes(sums.data(), row_bytes, &result.pixels[row_bytes * y]);
  }
  return result;
}

}  // namespace

RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height) {
  if (image.width < 1 || image.height < 1 || width < 1 || height < 1)
    throw Error("resize_bicubic: expected sides of at least 1, got {} x {} to {} x {}", image.width,
                image.height, width, height);
  // A pass that changes no size is skipped.
  if (width == image.width) return height == image.height ? image : resize_columns(image, height);
  if (height == image.height) return resize_rows(image, width);
  // Pillow's choice of the first pass since version 13; before, it always was the rows.
  const bool columns_first =
      height < image.height && image.height - height > 2 * (image.width - width);
  return columns_first ? resize_rows(resize_columns(image, height), width)
                       : resize_columns(resize_rows(image, width), height);
}

}  // namespace caprl
