#include <algorithm>

#include "caprl/generation/generator.h"

namespace caprl {

void GenerationLimits::fields(ConfigVisitor& v) {
  v.field("max_num_seqs", max_num_seqs, "sequences generated at a time", Range{1, 1e6});
  v.field(
      "max_num_batched_tokens", max_num_batched_tokens,
      "tokens of a forward pass of generation, on a CPU 512 at most; longer prompts are read in "
      "chunks",
      Range{1, 1e9});
  v.field(
      "kv_cache_gb", kv_cache_gb,
      "memory for keys and values in GB (10^9 bytes), freed after generation; 0: what is needed, "
      "up to half of the memory that is free",
      Range{0, 1e6});
  v.field("enforce_eager", enforce_eager,
          "launch every operation of decoding by itself; no: as CUDA graphs where there is a GPU");
}

int64_t tokens_of_a_pass(int64_t most_tokens, int64_t most_samples, bool on_gpu) {
  constexpr int64_t kOnCpu = 512;
  return on_gpu ? most_tokens : std::min(most_tokens, std::max(kOnCpu, most_samples));
}

}  // namespace caprl
