#include <ATen/ATen.h>

#include "kernels/sampler.h"
#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {

SampledRows sample_rows(const at::Tensor& logits, const at::Tensor& banned, const at::Tensor& keys,
                        const at::Tensor& positions, const SampleTerms& terms) {
  const at::Tensor rows = logits.stride(1) == 1 ? logits : logits.contiguous();
  SampledRows sampled{at::empty({rows.size(0)}, rows.options().dtype(at::kLong)),
                      at::empty({rows.size(0)}, rows.options())};
  kernels::SamplerRows work;
  work.logits = data<float>(rows);
  work.num_rows = rows.size(0);
  work.vocab = rows.size(1);
  work.stride = rows.stride(0);
  work.banned = data<uint32_t>(banned);
  work.keys = data<uint64_t>(keys);
  work.positions = data<uint64_t>(positions);
  work.ids = data<int64_t>(sampled.ids);
  work.logprobs = data<float>(sampled.logprobs);
  kernels::sample_rows(work, {terms.temperature, terms.top_k, terms.top_p}, stream_of(rows));
  return sampled;
}

}  // namespace caprl::ops::fused
