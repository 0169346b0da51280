// What to change when a GPU's memory does not suffice.
#pragma once
#include <c10/util/Exception.h>

#include <string>

#include "caprl/core/error.h"

namespace caprl {

/// What `work` gives; that the device ran out of memory in it becomes an Error that says where,
/// what was asked for, and which keys make it less.
template <class Work>
decltype(auto) with_memory_advice(const std::string& place, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(
        "{}: {} Less is needed with a smaller train.micro_tokens, train.loss_chunk_tokens, "
        "rollout.max_num_batched_tokens, rollout.kv_cache_gb or "
        "reward.answerer.max_num_batched_tokens, with train.gradient_checkpointing: mlp or full, "
        "with optimizer.offload: true, "
        "or, with several processes, parallel.zero_stage: 2 and reward.answerer.shard_layers",
        place, error.what_without_backtrace());
  }
}

}  // namespace caprl
