// A request under way: what is known of its prompt and its samples.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "caprl/generation/generator.h"
#include "sampler.h"
#include "scheduler.h"

namespace caprl {

struct Job {
  GenerationRequest request;
  Model::Positions positions;        // of the prompt
  std::optional<Embeddings> prompt;  // one with images, while it is read
  at::Tensor last_hidden;  // [1, H] of the prompt's last token, for samples without suffix
  std::vector<GeneratedSequence> samples;
  int64_t num_unfinished = 0;
  std::vector<std::unique_ptr<TokenStream>> streams;  // of the samples, with stop texts

  /// Error if the prompt does not fit the model.
  Job(GenerationRequest given, const Model& model, const SamplingParams& params);

  /// `image_token_id`: -1 of a text model.
  RequestShape shape(int64_t max_new_tokens, int64_t image_token_id) const;
  bool has_sample_without_suffix() const;
  /// Token at `place` of a sample: of its suffix, then of what was generated.
  int64_t token(int64_t sample, int64_t place) const;
  SampleRow sample_row(int64_t sample, const SamplingParams& params) const;
  /// Takes a token in; → whether the sample ends with it.
  bool append(int64_t sample, SampledToken token, const SamplingParams& params);

 private:
  std::vector<int64_t> tokens_seen(int64_t sample) const;
  bool ends_with_text(int64_t sample, const SamplingParams& params);
};

}  // namespace caprl
