#include "mistral.h"

namespace caprl {

Architecture describe_mistral(const ConfigReader& config) {
  // An absent key is a window of 4096, null is none.
  const bool windowed = !config.is_null("sliding_window");
  const int64_t window = config.positive_or("sliding_window", 4096, kMaxWidth);
  const int64_t positions = config.positive_or("max_position_embeddings", 4096 * 32, kMaxWidth);
  if (windowed && window < positions)
    config.fail("sliding_window",
                "{} is below max_position_embeddings {}; sliding window attention is not supported",
                window, positions);
  return describe_text_model(config, read_decoder_config(config, {}));
}

}  // namespace caprl
