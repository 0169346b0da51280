// EXIF and XMP orientation, as Pillow's ImageOps.exif_transpose reads and applies it.
#pragma once
#include <optional>
#include <string_view>

#include "caprl/image/image.h"

namespace caprl {

/// Orientation tag of a TIFF block, with or without the "Exif\0\0" before it. Absent where there is
/// none and where the block is malformed: a camera's broken metadata are no reason to refuse its
/// picture.
std::optional<int> exif_orientation(std::string_view block);

/// tiff:Orientation of an XMP packet.
std::optional<int> xmp_orientation(std::string_view packet);

/// What Pillow goes by: the EXIF block, else the XMP packet, else 1.
int image_orientation(std::string_view exif, std::string_view xmp);

/// The upright image. Orientations other than 2 … 8 change nothing.
RgbImage apply_orientation(RgbImage image, int orientation);

}  // namespace caprl
