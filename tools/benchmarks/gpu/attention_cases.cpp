// Attention of single tokens over paged keys and values, as decoding has it in the sizes of
// Qwen2.5-VL-3B: eight captions an image, the prompt's pages shared.
#include <ATen/ATen.h>

#include <numeric>

#include "caprl/ops/paged_attention.h"
#include "kernel_case.h"

namespace caprl::bench {
namespace {

constexpr int64_t kHeads = 16, kKvHeads = 2, kHeadDim = 128, kGroup = 8;
constexpr int64_t kPrompt = 1296, kOwn = 512;  // tokens: whole pages
constexpr int64_t kPromptPages = kPrompt / ops::kKvPageSize, kOwnPages = kOwn / ops::kKvPageSize;

at::Tensor random(at::IntArrayRef shape) {
  return at::randn(shape, at::TensorOptions(at::kCUDA).dtype(at::kBFloat16));
}

/// One step of `sequences` captions over pages that are filled already.
struct Step {
  std::vector<std::vector<int32_t>> tables;
  ops::KvPages pages;
  at::Tensor q, k, v;
  std::unique_ptr<ops::PagedBatch> batch;

  Step(int64_t sequences, bool shares) {
    int32_t next = 0;
    const auto take = [&](std::vector<int32_t>& table, int64_t count) {
      for (int64_t i = 0; i < count; ++i) table.push_back(next++);
    };
    std::vector<int32_t> prompt;
    for (int64_t s = 0; s < sequences; ++s) {
      if (s % kGroup == 0 || !shares) {
        prompt.clear();
        take(prompt, kPromptPages);
      }
      tables.push_back(prompt);
      take(tables.back(), kOwnPages);
    }
    pages = {random({next, ops::kKvPageSize, kKvHeads, kHeadDim}),
             random({next, ops::kKvPageSize, kKvHeads, kHeadDim})};
    q = random({sequences, kHeads, kHeadDim});
    k = random({sequences, kKvHeads, kHeadDim});
    v = random({sequences, kKvHeads, kHeadDim});
    std::vector<ops::PagedChunk> chunks;
    for (const auto& table : tables) chunks.push_back({table, kPrompt + kOwn - 1, 1});
    batch = std::make_unique<ops::PagedBatch>(chunks);
  }

  at::Tensor run() { return ops::paged_attention(q, k, v, {}, pages, *batch); }
};

/// The same keys and values, one sequence after another, as engines without pages hold them.
at::Tensor dense(const Step& step, const at::Tensor& pages) {
  std::vector<at::Tensor> sequences;
  for (const auto& table : step.tables) {
    const at::Tensor ids = at::tensor(table, at::kLong).to(at::kCUDA);
    sequences.push_back(
        pages.index_select(0, ids).reshape({-1, kKvHeads, kHeadDim}).transpose(0, 1));
  }
  return at::stack(sequences).contiguous();  // [B, Hkv, T, D]
}

KernelCase decode_case(int64_t sequences) {
  const auto shared = std::make_shared<Step>(sequences, true);
  shared->run();  // writes its own keys, so that the dense copy has them
  const auto unshared = std::make_shared<Step>(sequences, false);
  const at::Tensor k = dense(*shared, shared->pages.k), v = dense(*shared, shared->pages.v);
  KernelCase result;
  result.shape = std::to_string(sequences) + " × (" + std::to_string(kPrompt) + " shared by " +
                 std::to_string(kGroup) + " + " + std::to_string(kOwn) + ")";
  const int64_t keys = sequences / kGroup * kPrompt + sequences * kOwn;
  result.bytes = keys * kKvHeads * kHeadDim * 2 * 2 + 2 * bytes_of({shared->q});
  result.caprl = {"caprl", [=](int64_t) -> Tensors { return {shared->run()}; }};
  result.peers = {{"caprl, nothing shared", [=](int64_t) -> Tensors { return {unshared->run()}; }},
                  {"ATen, contiguous", [=](int64_t) -> Tensors {
                     return {at::scaled_dot_product_attention(shared->q.unsqueeze(2), k, v, {}, 0.0,
                                                              false, {}, true)
                                 .squeeze(2)};
                   }}};
  result.comparable = false;  // nothing shared: other keys; tests compare
  return result;
}

}  // namespace

std::vector<NamedCase> attention_cases() {
  return {{"decode_attention_64", [] { return decode_case(64); }},
          {"decode_attention_256", [] { return decode_case(256); }}};
}

}  // namespace caprl::bench
