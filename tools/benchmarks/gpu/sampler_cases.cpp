// Rows of logits → one token each, in a step of decoding with a batch of 256.
#include <ATen/ATen.h>

#include "caprl/ops/sample.h"
#include "kernel_case.h"

namespace caprl::bench {
namespace {

constexpr int64_t kRows = 256, kVocab = 151936, kTopK = 50;
constexpr double kLogitDeviation = 4, kTopP = 0.95;

using Choice = std::function<at::Tensor(const at::Tensor& logits)>;

/// Tokens that `choose` gives, and their log-probabilities.
Tensors with_logprobs(const at::Tensor& logits, const Choice& choose) {
  const at::Tensor ids = choose(logits);
  return {ids, at::log_softmax(logits, 1).gather(1, ids.unsqueeze(1)).squeeze(1)};
}

at::Tensor draw(const at::Tensor& logits) {
  return (at::softmax(logits, 1) / at::empty_like(logits).exponential_()).argmax(1);
}

/// Sorted, as generation libraries do it.
at::Tensor draw_filtered(const at::Tensor& logits) {
  const auto [sorted, order] = logits.sort(-1, true);
  const at::Tensor p = at::softmax(sorted, 1);
  at::Tensor dropped = at::cumsum(p, 1) - p >= kTopP;
  dropped.narrow(1, kTopK, kVocab - kTopK).fill_(true);
  const at::Tensor place = draw(sorted.masked_fill(dropped, -INFINITY));
  return order.gather(1, place.unsqueeze(1)).squeeze(1);
}

KernelCase sampler_case(const ops::SampleTerms& terms, const Choice& choose) {
  const auto options = at::TensorOptions(at::kCUDA).dtype(at::kFloat);
  const at::Tensor all =
      at::randn({sets_of(kRows * kVocab * 4), kRows, kVocab}, options).mul_(kLogitDeviation);
  const at::Tensor keys = at::randint(INT64_MAX, {kRows}, options.dtype(at::kLong));
  const at::Tensor positions = at::arange(kRows, options.dtype(at::kLong));
  KernelCase result;
  result.shape = std::to_string(kRows) + " × " + std::to_string(kVocab);
  result.num_sets = all.size(0);
  result.bytes = bytes_of({all[0]});
  result.comparable = terms.temperature == 0;
  result.caprl = {"caprl", [=](int64_t set) -> Tensors {
                    const auto sampled = ops::sample_rows(all[set], {}, keys, positions, terms);
                    return {sampled.ids, sampled.logprobs};
                  }};
  result.peers = {{"ATen, composed", [=](int64_t set) { return with_logprobs(all[set], choose); }}};
  return result;
}

}  // namespace

std::vector<NamedCase> sampler_cases() {
  const auto best = [](const at::Tensor& logits) { return logits.argmax(1); };
  return {{"sampler_greedy", [=] { return sampler_case({.temperature = 0}, best); }},
          {"sampler", [] { return sampler_case({}, draw); }},
          {"sampler_top_k_top_p",
           [] { return sampler_case({.top_k = kTopK, .top_p = kTopP}, draw_filtered); }}};
}

}  // namespace caprl::bench
