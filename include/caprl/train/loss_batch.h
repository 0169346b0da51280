// From sequences with scored tokens to microbatches of the loss head.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "caprl/models/branched.h"
#include "caprl/models/model.h"

namespace caprl {

/// What the loss wants of one branch.
struct ScoredBranch {
  int64_t first = 0;  // tokens before this one are read, not scored (a question before its answer)
  double weight =
      0;  // of each scored token in the loss, over the whole update; 0: left out of the loss
  double advantage = 0;  // of each scored token
};

struct ScoredSequence {
  BranchedSequence sequence;
  std::vector<ScoredBranch> branches;  // as many as sequence.branches

  /// Scored tokens of branch b.
  int64_t length(size_t b) const;
};

/// Trees that are run together, and which of their hidden states predict which scored tokens. Row m
/// is a scored token; rows go tree by tree, branch by branch, in token order, so rows of
/// consecutive microbatches are in the order of the sequences.
struct LossBatch {
  BranchedBatch packed;
  at::Tensor rows;        // [M] int64: packed index of the token before it
  at::Tensor targets;     // [M] int64: its id
  at::Tensor branches;    // [M] int64: number of its branch within the batch
  at::Tensor weights;     // [M] float (double for a double model), on the host
  at::Tensor advantages;  // [M] likewise
};

/// Tokens of the sequence, its images' included.
int64_t num_tokens(const BranchedSequence& sequence);

/// Which of things of these sizes run together in one pass of at most `budget` tokens: the longest
/// first, each to the pass that it leaves least room in (best fit decreasing; Johnson,
/// "Near-optimal bin packing algorithms", 1973: at most 11/9 of the fewest passes, and one). One
/// that is longer is a pass of its own, never cut. Passes go by their first thing and things within
/// a pass by their number, so that what fits into one pass stays as it is; a function of the sizes
/// alone.
std::vector<std::vector<size_t>> pack_by_tokens(std::span<const int64_t> sizes, int64_t budget);

/// On the model's device but for weights and advantages. Error if branches and what is scored of
/// them do not fit together.
LossBatch make_loss_batch(std::span<const ScoredSequence> sequences, const Model& model);

/// Final hidden states of the rows, [M, H]. Differentiable under grad mode.
at::Tensor hidden_rows(const Model& model, const LossBatch& batch);

}  // namespace caprl
