#include "pictures.h"

#include <algorithm>
#include <cmath>

#include <png.h>

#include "caprl/core/error.h"
#include "caprl/image/image.h"

namespace caprl::demo {
namespace {

constexpr int64_t kQuadrant = kSide / 2;
constexpr double kMaxJitter = 2.0;                           // pixels
constexpr double kMinRadius = 9.0, kMaxRadius = 12.5;        // pixels
constexpr double kBase = 24.0, kRamp = 120.0, kNoise = 4.0;  // grey levels
constexpr int kSubsamples = 4;                               // along each side of a pixel
constexpr int kJpegQuality = 95;

constexpr std::array<std::array<double, 3>, kColors.size()> kRgb = {
    {{230, 40, 40}, {40, 200, 60}, {50, 80, 240}, {240, 220, 40}, {240, 240, 240}, {40, 220, 220}}};

/// Whether a point, relative to the centre and in radii, belongs to the shape.
bool covers(int64_t shape, double x, double y) {
  switch (shape) {
    case 0:
      return x * x + y * y <= 1;  // circle
    case 1:
      return std::max(std::abs(x), std::abs(y)) <= 0.85;  // square
    case 2:
      return y >= -1 && y <= 0.8 && std::abs(x) <= 0.55 * (y + 1);  // triangle
    default:
      return std::min(std::abs(x), std::abs(y)) <= 0.33 &&  // cross
             std::max(std::abs(x), std::abs(y)) <= 1;
  }
}

struct Placement {
  double x, y, radius;
};

/// Share of a pixel that the shape covers.
double coverage(int64_t shape, const Placement& at, int64_t x, int64_t y) {
  int inside = 0;
  for (int row = 0; row < kSubsamples; ++row) {
    const double dy = y + (row + 0.5) / kSubsamples - at.y;
    for (int column = 0; column < kSubsamples; ++column) {
      const double dx = x + (column + 0.5) / kSubsamples - at.x;
      inside += covers(shape, dx / at.radius, dy / at.radius);
    }
  }
  return static_cast<double>(inside) / (kSubsamples * kSubsamples);
}

void paint(std::vector<double>& canvas, const Object& object, const Placement& at) {
  const auto first = [](double center, double radius) {
    return std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - radius)));
  };
  const auto last = [](double center, double radius) {
    return std::min<int64_t>(kSide - 1, static_cast<int64_t>(std::ceil(center + radius)));
  };
  for (int64_t y = first(at.y, at.radius); y <= last(at.y, at.radius); ++y) {
    for (int64_t x = first(at.x, at.radius); x <= last(at.x, at.radius); ++x) {
      const double share = coverage(object.shape, at, x, y);
      for (int64_t c = 0; c < 3; ++c) {
        double& value = canvas[3 * (y * kSide + x) + c];
        value += share * (kRgb[object.color][c] - value);
      }
    }
  }
}

std::vector<double> draw_background() {
  std::vector<double> canvas(3 * kSide * kSide, kBase);
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      canvas[3 * (y * kSide + x)] += kRamp * static_cast<double>(y) / (kSide - 1);
      canvas[3 * (y * kSide + x) + 2] += kRamp * static_cast<double>(x) / (kSide - 1);
    }
  }
  return canvas;
}

}  // namespace

std::vector<uint8_t> draw_picture(const Scene& scene, Draws& draws) {
  std::vector<double> canvas = draw_background();
  for (size_t place = 0; place < kPlaces.size(); ++place) {
    if (!scene.places[place]) continue;
    const auto center = [&](size_t quadrant) {
      return kQuadrant * (static_cast<double>(quadrant) + 0.5) +
             draws.uniform(-kMaxJitter, kMaxJitter);
    };
    const double x = center(place % 2), y = center(place / 2);
    paint(canvas, *scene.places[place], {x, y, draws.uniform(kMinRadius, kMaxRadius)});
  }
  std::vector<uint8_t> pixels(canvas.size());
  for (size_t i = 0; i < canvas.size(); ++i) {
    const double value = canvas[i] + kNoise * draws.normal_at(static_cast<int64_t>(i));
    pixels[i] = static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
  }
  return pixels;
}

std::string encode_png(const std::vector<uint8_t>& pixels) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = kSide;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr) == 0)
    throw Error("libpng could not write an image: {}", image.message);
  bytes.resize(size);
  return bytes;
}

std::string encode_jpeg(const std::vector<uint8_t>& pixels) {
  return caprl::encode_jpeg({kSide, kSide, pixels}, kJpegQuality);
}

}  // namespace caprl::demo
