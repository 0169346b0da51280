// A new captioner out of the vision tower of one and the decoder of another model.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/io/safetensors.h"

namespace caprl {

struct JoinedModel {
  nlohmann::json config;  // config.json, of the architecture of `vision_dir`
  NamedTensors weights;   // under the names of `vision_dir`
  /// Parameters that neither has in the new shape, drawn anew: the projector's end, of another
  /// width.
  std::vector<std::string> fresh;
};

/// `vision_dir`: a Qwen2-VL, Qwen2.5-VL or Qwen3-VL directory; `text_dir`: a text model with such a
/// decoder (Qwen2, Qwen2.5; Qwen3). Multimodal rotary sections keep their shares of the head.
/// `token_id`: the ids of <|image_pad|> and the like in the text model's vocabulary. Fresh values
/// are drawn as Model::random() draws them. InputError naming what does not fit.
JoinedModel join_models(const std::filesystem::path& vision_dir,
                        const std::filesystem::path& text_dir,
                        const std::function<std::optional<int64_t>(const std::string&)>& token_id,
                        uint64_t seed);

}  // namespace caprl
