#include "caprl/generation/generator.h"

namespace caprl {

void GenerationLimits::fields(ConfigVisitor& v) {
  v.field("max_num_seqs", max_num_seqs, "sequences generated at a time", Range{1, 1e6});
  v.field("max_num_batched_tokens", max_num_batched_tokens,
          "tokens of a forward pass of generation; longer prompts are read in chunks",
          Range{1, 1e9});
  v.field(
      "kv_cache_gb", kv_cache_gb,
      "memory for keys and values in GB (10^9 bytes), freed after generation; 0: what is needed, "
      "up to half of the memory that is free",
      Range{0, 1e6});
  v.field("enforce_eager", enforce_eager,
          "launch every operation of decoding by itself; no: as CUDA graphs where there is a GPU");
}

}  // namespace caprl
