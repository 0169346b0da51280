// Files of rows for supervised training.
#pragma once
#include <filesystem>
#include <functional>

#include "captions.h"
#include "image_set.h"

namespace caprl::demo {

/// An answerer's rows: `count` captions with kExamplesPerCaption consecutive rows each, a share of
/// `told` of which has a question that tells its answer. Without responses: the questions alone.
void write_answerer_rows(const std::filesystem::path& path, Split split, int64_t count, double told,
                         uint64_t seed, bool with_responses = true);

/// A judge's rows: captions of the images, and score()'s digit for what they are read as.
void write_judge_rows(const std::filesystem::path& path, const ImageSet& set, int64_t per_image,
                      Split split, uint64_t seed,
                      const std::function<std::string(const Scene&, Draws&)>& caption,
                      const std::function<int64_t(const Caption&, const Scene&)>& score);

}  // namespace caprl::demo
