#include "caprl/core/error.h"
#include "caprl/models/model.h"

namespace caprl {

Prompt expand_images(std::vector<int64_t> ids,
                     std::vector<std::shared_ptr<const ImagePatches>> images,
                     const ModelTraits& traits) {
  if (!traits.image_token_id) {
    if (!images.empty())
      throw InputError("{} images were given to {}, a text-only model", images.size(),
                       traits.architecture);
    return {std::move(ids), {}};
  }
  Prompt prompt;
  size_t pads = 0;
  for (const int64_t id : ids) {
    const bool pad = id == *traits.image_token_id;
    const bool known = pad && pads < images.size();
    prompt.ids.insert(prompt.ids.end(), known ? images[pads]->tokens(traits.merge_size) : 1, id);
    pads += pad;
  }
  if (pads != images.size())
    throw InputError("expected one image placeholder for each of {} images, got {}", images.size(),
                     pads);
  prompt.images = std::move(images);
  return prompt;
}

}  // namespace caprl
