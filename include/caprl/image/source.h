// An image as rows of data hold it: a file, or the bytes of one.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "caprl/image/image.h"

namespace caprl {

struct ImageSource {
  std::filesystem::path path;    // absolute, or empty if embedded
  std::vector<std::byte> bytes;  // the file's content, or empty
  std::string name;              // for messages
};
/// InputError naming `name` if it cannot be read or decoded.
RgbImage load_image(const ImageSource& source);
ImageSize stored_size(const ImageSource& source);

}  // namespace caprl
