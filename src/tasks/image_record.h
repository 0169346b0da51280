// An image as rows of data hold it.
#pragma once
#include <nlohmann/json.hpp>

#include "caprl/image/source.h"

namespace caprl {

/// {"path"} of an image that has one; with `embed`, and of one without, {"bytes": binary, …}.
/// InputError if it cannot be read.
nlohmann::json image_record(const ImageSource& source, bool embed);

}  // namespace caprl
