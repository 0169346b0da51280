// What operations hold in memory, on paper: bytes from shapes, beside the code that holds them. A
// pass is its operations in turn; the step's plan (train/memory_plan.h) adds what stays.
#pragma once
#include <cstdint>

namespace caprl::ops {

/// How values are stored, and who computes.
struct MemorySetting {
  double value = 2;      // bytes of a value of weights and activations: 2, 4 or 8
  bool kernels = false;  // a GPU's kernels, which add weights' gradients to where they are summed
  bool flash = false;    // has_flash_attention()
  bool offload = false;  // the optimizer's state is in the host's memory

  /// Bytes of a statistic or of a summed gradient.
  double real() const { return value < 8 ? 4 : 8; }
};

/// Bytes of one operation of a training pass.
struct OpMemory {
  double kept = 0;      // from its forward pass until its backward pass is over
  double forward = 0;   // beside that, at most, while it computes: its results, temporaries
  double backward = 0;  // the same of its backward pass: gradients that come and go, temporaries
};

/// Operations one after another; their backward passes run in reverse.
class PassTape {
 public:
  void add(const OpMemory& op);
  /// All of them as one operation.
  OpMemory total() const;

 private:
  double kept_ = 0, forward_ = 0, backward_ = 0;  // the last two with what is kept by then
};

/// Work that is done again in the backward pass (ops/recompute.h): `inputs` bytes are kept of it,
/// and `results` are what it hands on.
OpMemory recomputed(const OpMemory& work, double inputs, double results);

/// What of a linear layer has a gradient.
struct LinearUse {
  bool trained = false;  // the weights
  double rank = 0;       // of an adapter; 0: none
  /// Whether the layer has its input kept.
  bool keeps_input(const MemorySetting& setting) const {
    return trained || rank > 0 || setting.kernels;
  }
};

/// Without its input, which others may keep, too: LinearUse::keeps_input().
OpMemory linear_memory(const MemorySetting& setting, double rows, double in, double out,
                       const LinearUse& use);
/// RMS norm or layer norm; `adds`: of a sum that it makes and keeps (add_rms_norm). Without its
/// input and result.
OpMemory norm_memory(const MemorySetting& setting, double rows, double width, bool adds);
/// Without x. `use`: of each of the three layers.
OpMemory feed_forward_memory(const MemorySetting& setting, double rows, double width, double inner,
                             const LinearUse& use);

/// Groups of a prefix and its branches.
struct GroupShape {
  double groups = 1, prefix = 0;
  double branches = 0, branch = 0;  // of a group, and tokens of each on average
  double tokens() const { return groups * (prefix + branches * branch); }
};
struct HeadShape {
  double heads = 0, kv_heads = 0, size = 0;
  double queries() const { return heads * size; }  // values of a token
  double keys() const { return kv_heads * size; }
  double padded_keys() const;  // of a head's whole vectors
};
/// From projected queries, keys and values to what their heads see, rotation included.
/// `one_product`: queries, keys and values are views of one tensor.
OpMemory group_attention_memory(const MemorySetting& setting, const GroupShape& groups,
                                const HeadShape& heads, bool one_product);
/// Whole sequences of `rows` queries and keys in all, whose queries, keys and values come from one
/// product; `rotated`: by positions; `pieces`: they are of several lengths.
OpMemory image_attention_memory(const MemorySetting& setting, double rows, const HeadShape& heads,
                                bool rotated, bool pieces);

/// Bytes at most of one layer without gradients, its input included: attention over pages and its
/// projections; the second half (ops/gated_half.h), whose feed-forward is `adapted` or not.
double paged_attention_reading(const MemorySetting& setting, double rows, double width,
                               const HeadShape& heads);
double gated_half_reading(const MemorySetting& setting, double rows, double width, double inner,
                          bool adapted);

/// From hidden states of all tokens to the loss, of `rows` scored ones.
struct LossShape {
  double tokens = 0, rows = 0, hidden = 0, vocab = 0;
  double chunk = 0;  // rows of logits at a time
  double logit = 4;  // bytes of a logit, of a bfloat16 model
  bool head_trained = true;
};
OpMemory loss_memory(const MemorySetting& setting, const LossShape& shape);

/// While AdamW updates `values` weights, and their gradient's norm is taken.
double optimizer_memory(const MemorySetting& setting, double values);

}  // namespace caprl::ops
