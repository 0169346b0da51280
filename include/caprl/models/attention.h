// The seam between a decoder and the ways it is run: training on groups, prefill, cached decoding.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "caprl/ops/rotary.h"

namespace caprl {

/// A decoder hands every layer's queries, keys and values to this and knows nothing of masks or
/// caches. Where layers are computed again for the backward pass (ops::Recompute::kFull), it is
/// asked again then, and must belong to a shared_ptr.
class Attention : public std::enable_shared_from_this<Attention> {
 public:
  virtual ~Attention() = default;
  /// q [N, Hq, D], k and v [N, Hkv, D] (Hq a multiple of Hkv) of decoder layer `layer`, q and k to
  /// be turned by `table` first → [N, Hq, D]. Scale 1/√D.
  virtual at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const ops::RotaryTable& table) = 0;
};

}  // namespace caprl
