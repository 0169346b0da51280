// An image to be filled.
#pragma once
#include "caprl/core/memory.h"
#include "caprl/image/image.h"

namespace caprl {

/// A black image; the caller has checked the size.
inline RgbImage make_image(int64_t width, int64_t height) {
  RgbImage image{width, height, {}};
  reserve_large(image.pixels, 3 * width * height);
  image.pixels.resize(3 * width * height);
  return image;
}

}  // namespace caprl
