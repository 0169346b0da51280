// An image as rows of data hold it: a file, the bytes of one, or a place in a larger file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "caprl/core/shared_bytes.h"
#include "caprl/image/image.h"

namespace caprl {

/// Images in a larger file, read when they are needed. Thread safe.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// The bytes of an image's file. InputError naming the place.
  virtual SharedBytes read(int64_t index) const = 0;
};
struct StoredImage {
  std::shared_ptr<const ImageStore> store;  // none: no such image
  int64_t index = 0;
};

struct ImageSource {
  std::filesystem::path path;    // absolute, or empty if embedded
  std::vector<std::byte> bytes;  // the file's content, or empty
  std::string name;              // for messages
  StoredImage stored;            // in place of both
};
/// InputError naming `name` if it cannot be read or decoded.
RgbImage load_image(const ImageSource& source);
ImageSize stored_size(const ImageSource& source);
/// The file's content; valid while `source` is.
SharedBytes file_content(const ImageSource& source);

}  // namespace caprl
