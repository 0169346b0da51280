// Attention of packed patches: each image, or each window of it, on its own.
#pragma once
#include <ATen/core/Tensor.h>

#include "vision_grid.h"

namespace caprl {

/// q, k, v [P, heads, D] of all patches in the order of `images` → [P, heads · D].
at::Tensor attend_images(const ImageBatch& images, const at::Tensor& q, const at::Tensor& k,
                         const at::Tensor& v);
/// The same within the windows of the images' plans.
at::Tensor attend_windows(const ImageBatch& images, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v);

}  // namespace caprl
