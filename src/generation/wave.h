// Sequences that are generated together: read the prompts, then one token of each at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "caprl/generation/generator.h"
#include "kv_cache.h"
#include "sampler.h"
#include "slot_grid.h"

namespace caprl {

/// Consecutive samples of one request.
struct WavePart {
  int64_t request = 0;  // index
  int64_t first_sample = 0;
  int64_t num_samples = 0;
};

class Wave {
 public:
  /// Results go to results[request][sample]. All references must live as long.
  Wave(const Model& model, const Sampler& sampler, const SamplingParams& params,
       std::span<const GenerationRequest> requests, std::span<const WavePart> parts,
       std::vector<std::vector<GeneratedSequence>>& results);
  void run();

 private:
  struct Sequence {
    SampleRow row;
    int64_t next_position;  // of the next token in the model's positions
    bool active;
    GeneratedSequence* result;
  };
  void add_sequences(const WavePart& part);
  at::Tensor prefill();
  void sample_tokens(const at::Tensor& hidden);
  void compact_slots();
  at::Tensor decode_step();

  const Model& model_;
  const Sampler& sampler_;
  const SamplingParams& params_;
  std::span<const GenerationRequest> requests_;
  std::span<const WavePart> parts_;
  std::vector<std::vector<GeneratedSequence>>& results_;
  std::vector<Sequence> sequences_;
  SlotGrid grid_;
  std::unique_ptr<KvCache> cache_;
  int64_t num_active_ = 0;
};

}  // namespace caprl
