// A program of somebody else: a library of images, one of LibTorch, and caprl's own code.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

#include "caprl/core/version.h"
#include "caprl/image/image.h"
#include "caprl/models/model.h"
#include "caprl/models/presets.h"

int main() {
  const caprl::RgbImage image{2, 1, {10, 20, 30, 40, 50, 60}};
  const std::string file = caprl::encode_jpeg(image, 90);
  const caprl::RgbImage read = caprl::decode_image(std::as_bytes(std::span(file)), "an image");
  const auto model = caprl::Model::random(caprl::preset_config("qwen2_5_tiny"), 1, {});
  std::printf("caprl %s, an image of %d x %d, %d parameters\n", caprl::version(),
              static_cast<int>(read.width), static_cast<int>(read.height),
              static_cast<int>(model->parameters().trainable_buffer().numel() +
                               model->parameters().frozen_buffer().numel()));
}
