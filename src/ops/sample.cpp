#include "caprl/ops/sample.h"

#include <ATen/ATen.h>

#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

constexpr int64_t kWordBits = 32;

}  // namespace

bool samples_on_device(const at::Tensor& logits) {
  return logits.scalar_type() == at::kFloat && fused::runs_on(logits);
}

at::Tensor banned_bits(std::span<const int64_t> ids, int64_t vocab, at::Device device) {
  if (ids.empty()) return {};
  at::Tensor words = at::zeros({(vocab + kWordBits - 1) / kWordBits}, at::kInt);
  int32_t* data = words.data_ptr<int32_t>();
  for (const int64_t id : ids) {
    TORCH_CHECK(id >= 0 && id < vocab, "[banned_bits] expected ids in [0, ", vocab, "), got ", id);
    data[id / kWordBits] |= static_cast<int32_t>(uint32_t{1} << (id % kWordBits));
  }
  return words.to(device);
}

SampledRows sample_rows(const at::Tensor& logits, const at::Tensor& banned, const at::Tensor& keys,
                        const at::Tensor& positions, const SampleTerms& terms) {
  TORCH_CHECK(logits.dim() == 2 && logits.size(1) > 0 && logits.size(1) < (int64_t{1} << 24),
              "[sample_rows] expected logits [N, V] with 0 < V < 2^24, got ", logits.sizes());
  const auto fits = [&](const at::Tensor& t) {
    return t.dim() == 1 && t.size(0) == logits.size(0) && t.scalar_type() == at::kLong &&
           t.is_contiguous() && t.device() == logits.device();
  };
  TORCH_CHECK(fits(keys) && fits(positions), "[sample_rows] expected ", logits.size(0),
              " int64 keys and positions on ", logits.device(), ", got ", keys.sizes(), " and ",
              positions.sizes());
  TORCH_CHECK(!banned.defined() || banned.numel() == (logits.size(1) + kWordBits - 1) / kWordBits,
              "[sample_rows] expected bits of ", logits.size(1), " tokens");
  return fused::sample_rows(logits, banned, keys, positions, terms);
}

}  // namespace caprl::ops
