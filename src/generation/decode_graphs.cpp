#include "decode_graphs.h"

#include <ATen/ATen.h>

#include "caprl/ops/upload.h"

namespace caprl {
namespace {

/// Passes that run as ever before one is recorded: a recording costs about two of them, and most
/// numbers of sequences pass by quickly.
constexpr int64_t kPassesBefore = 2;

/// Few numbers, at most an eighth more than `count` beyond a few.
int64_t padded(int64_t count) {
  int64_t size = 1;
  while (size < count && size < 16) size *= 2;
  const int64_t step = count <= 64 ? 16 : count <= 256 ? 32 : 64;
  return count <= 16 ? size : (count + step - 1) / step * step;
}

/// ids, then positions axis by axis, each `tokens` long.
std::vector<int64_t> layout(std::span<const int64_t> ids,
                            std::span<const std::array<int64_t, 3>> positions, int64_t tokens) {
  std::vector<int64_t> all(static_cast<size_t>(4 * tokens), 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    all[i] = ids[i];
    for (size_t axis = 0; axis < 3; ++axis)
      all[(axis + 1) * static_cast<size_t>(tokens) + i] = positions[i][axis];
  }
  return all;
}

}  // namespace

bool DecodeGraphs::possible(const Model& model) {
  const ModelTraits& traits = model.traits();
  const at::Tensor& weight = model.head_weight();
  // Sharded layers lie somewhere else at every pass.
  return model.parameters().sharded_layers() == nullptr &&
         ops::Recording::possible(weight.device()) &&
         ops::can_record_attention(traits.num_heads, traits.num_kv_heads, traits.head_dim,
                                   weight.scalar_type());
}

void DecodeGraphs::forward(Graph& graph) const {
  const at::Tensor embedded = model_.embed_tokens(graph.inputs.select(0, 0));
  graph.hidden = model_.decode(embedded, graph.inputs.narrow(0, 1, 3), cache_);
}

at::Tensor DecodeGraphs::run(std::span<const ops::PagedChunk> chunks, std::span<const int64_t> ids,
                             std::span<const std::array<int64_t, 3>> positions) {
  const auto count = static_cast<int64_t>(ids.size());
  const int64_t tokens = padded(count);
  auto batch = ops::PagedBatch::to_record(chunks, tokens - count);
  Graph* graph = &graphs_[tokens];
  if (graph->plan && !batch.take(graph->plan)) {  // its captions have outgrown it
    graphs_.erase(tokens);
    graph = &graphs_[tokens];
  }
  if (!graph->inputs.defined())
    graph->inputs =
        at::empty({4, tokens}, at::TensorOptions(at::kLong).device(model_.head_weight().device()));
  at::Tensor flat = graph->inputs.view({-1});
  ops::upload_to(flat, layout(ids, positions, tokens));

  cache_.set_batch(&batch);
  const int64_t pass = graph->passes++;
  if (pass < kPassesBefore) {
    forward(*graph);
    graph->plan = batch.plan;
  } else {
    if (pass == kPassesBefore) graph->recording.record([this, graph] { forward(*graph); });
    graph->recording.replay();
  }
  cache_.set_batch(nullptr);
  return graph->hidden.narrow(0, 0, count);
}

}  // namespace caprl
