// One rank of the gradients' test: gradients_rank MODEL DTYPE STAGE OUT. Six sequences, dealt to
// the ranks in turn, one pass each; rank 0 writes the sums of all ranks to OUT.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstring>
#include <iostream>

#include "caprl/io/safetensors.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/loss_batch.h"
#include "support/rank_program.h"
#include "train/gradients.h"

namespace caprl {
namespace {

constexpr int64_t kSequences = 6;

ScoredSequence sequence(int64_t number, int64_t vocab) {
  ScoredSequence scored;
  scored.sequence.prefix.ids = {number};
  auto& ids = scored.sequence.branches.emplace_back();
  for (int64_t i = 0; i < 5 + 4 * number; ++i) ids.push_back((number * 131 + i * i * 17) % vocab);
  scored.branches.push_back({0, 1.0 / static_cast<double>(kSequences * ids.size()), 0});
  return scored;
}

void pass(Model& model, Gradients& gradients, int64_t number) {
  const ScoredSequence scored = sequence(number, 300);
  const LossBatch batch = make_loss_batch(std::span(&scored, 1), model);
  gradients.begin_pass();
  ops::cross_entropy_loss(hidden_rows(model, batch), model.head_weight(), batch.targets,
                          batch.weights, 64, nullptr, model.head_gradient())
      .backward();
  gradients.end_pass();
}

/// All sums in the order of the weights, from every rank's part.
at::Tensor whole(const Gradients& gradients, const Group& group) {
  const at::Tensor mine = gradients.mine().contiguous();
  const Shards& shards = gradients.shards();
  const auto parts = group.gather_bytes(
      std::string(static_cast<const char*>(mine.data_ptr()), static_cast<size_t>(mine.nbytes())));
  at::Tensor all = at::zeros({shards.num_values()}, mine.options());
  for (int rank = 0; rank < shards.ranks(); ++rank) {
    at::Tensor part = at::empty_like(mine);
    std::memcpy(part.data_ptr(), parts[static_cast<size_t>(rank)].data(), part.nbytes());
    for (const auto& piece : shards.pieces(rank))
      all.narrow(0, piece.range.begin, piece.range.size)
          .copy_(part.narrow(0, piece.local, piece.range.size));
  }
  return all;
}

void run(char** arguments, World& world) {
  at::set_num_threads(1);
  const Group& group = world.group();
  ModelOptions options;
  options.dtype = parse_dtype(arguments[2], "DTYPE");
  options.train = TrainedParts::kAll;
  const auto model = Model::load(arguments[1], options);
  ParallelConfig config;
  config.zero_stage = std::atoi(arguments[3]);
  config.bucket_mb = 1;
  Gradients gradients(model->parameters(), group, config);
  gradients.begin((kSequences - group.rank() + group.size() - 1) / group.size());
  for (int64_t number = group.rank(); number < kSequences; number += group.size())
    pass(*model, gradients, number);
  gradients.finish();
  const at::Tensor all = whole(gradients, group);
  if (group.is_first()) write_safetensors(arguments[4], {{"gradients", all}});
}

}  // namespace
}  // namespace caprl

int main(int, char** arguments) {
  const auto timeout = std::chrono::seconds(60);
  return caprl::run_as_rank(timeout, timeout,
                            [&](caprl::World& world) { caprl::run(arguments, world); });
}
