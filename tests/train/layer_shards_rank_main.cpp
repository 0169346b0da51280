// One rank of the layer shards' test: layer_shards_rank MODEL DTYPE LAYERS. Rank r makes r passes,
// twice, and compares them with those of a model of its own. Leaves with 0 if all are equal.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <cstdlib>

#include "caprl/models/branched.h"
#include "caprl/models/model.h"
#include "models/layer_shards.h"
#include "support/rank_program.h"

namespace caprl {
namespace {

at::Tensor hidden(const Model& model, int64_t number) {
  const c10::InferenceMode guard;
  BranchedSequence sequence;
  for (int64_t i = 0; i < 5 + 3 * number; ++i)
    sequence.prefix.ids.push_back((number + i * 7) % 200);
  sequence.branches.push_back({number, 3, 2});
  const BranchedBatch batch = pack(std::span(&sequence, 1), model);
  BranchedAttention attention(batch.layout, at::kCPU);
  return model.decode(model.embed(batch), batch.positions, attention);
}

int64_t layer_bytes(const Model& model) {
  int64_t bytes = 0;
  for (const ParameterSpec& spec : model.parameters().specs())
    if (spec.name.starts_with("model.layers.") && spec.shape.size() > 1)
      bytes += spec.num_values() * model.head_weight().element_size();
  return bytes;
}

void run(char** arguments, World& world) {
  at::set_num_threads(1);
  const Group& group = world.group();
  ModelOptions options;
  options.dtype = parse_dtype(arguments[2], "DTYPE");
  const auto whole = Model::load(arguments[1], options);
  options.sharding = {&group, std::atoi(arguments[3])};
  const auto sharded = Model::load(arguments[1], options);

  const int64_t held = sharded->parameters().sharded_layers()->held_bytes();
  const int64_t share = layer_bytes(*whole) / group.size();
  if (held < share || held > share + 1024)
    throw Error("expected {} bytes of {} held, got {}", share, layer_bytes(*whole), held);
  for (int round = 0; round < 2; ++round) {
    for (int64_t number = 0; number < group.rank(); ++number)
      if (!hidden(*whole, number).equal(hidden(*sharded, number)))
        throw Error("pass {} of rank {} differs", number, group.rank());
    sharded->join_other_passes();
  }
}

}  // namespace
}  // namespace caprl

int main(int, char** arguments) {
  const auto timeout = std::chrono::seconds(60);
  return caprl::run_as_rank(timeout, timeout,
                            [&](caprl::World& world) { caprl::run(arguments, world); });
}
