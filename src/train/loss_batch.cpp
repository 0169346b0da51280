#include "caprl/train/loss_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/ops/upload.h"

namespace caprl {

int64_t num_tokens(const BranchedSequence& sequence) {
  auto count = static_cast<int64_t>(sequence.prefix.ids.size());
  for (const auto& branch : sequence.branches) count += static_cast<int64_t>(branch.size());
  return count;
}

int64_t ScoredSequence::length(size_t b) const {
  return static_cast<int64_t>(sequence.branches[b].size()) - branches[b].first;
}

std::vector<std::vector<size_t>> pack_by_tokens(std::span<const int64_t> sizes, int64_t budget) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t i) { return sizes[i]; });
  std::vector<std::vector<size_t>> passes;
  std::set<std::pair<int64_t, size_t>> rooms;  // tokens that a pass has left, and which pass
  for (const size_t i : order) {
    auto room = rooms.lower_bound({sizes[i], 0});
    if (room == rooms.end()) {
      passes.emplace_back();
      room = rooms.emplace(std::max(budget, sizes[i]), passes.size() - 1).first;
    }
    const auto [left, pass] = *room;
    passes[pass].push_back(i);
    rooms.erase(room);
    rooms.emplace(left - sizes[i], pass);
  }
  for (auto& pass : passes) std::ranges::sort(pass);
  std::ranges::sort(passes, {}, [](const auto& pass) { return pass.front(); });
  return passes;
}

LossBatch make_loss_batch(std::span<const ScoredSequence> sequences, const Model& model) {
  std::vector<BranchedSequence> trees;
  std::vector<int64_t> rows, targets, branches;
  int64_t num_branches = 0;
  std::vector<double> weights, advantages;
  int64_t place = 0;
  for (const ScoredSequence& scored : sequences) {
    const BranchedSequence& tree = trees.emplace_back(scored.sequence);
    if (scored.branches.size() != tree.branches.size())
      throw Error("[make_loss_batch] expected {} scored branches, got {}", tree.branches.size(),
                  scored.branches.size());
    place += static_cast<int64_t>(tree.prefix.ids.size());
    const int64_t last_of_prefix = place - 1;
    for (size_t b = 0; b < tree.branches.size(); ++b) {
      const auto& ids = tree.branches[b];
      const ScoredBranch& branch = scored.branches[b];
      if (branch.first < 0 || branch.first > static_cast<int64_t>(ids.size()))
        throw Error("[make_loss_batch] expected scored tokens to begin from 0 to {}, got {}",
                    ids.size(), branch.first);
      for (auto t = branch.first; t < static_cast<int64_t>(ids.size()); ++t) {
        rows.push_back(t == 0 ? last_of_prefix : place + t - 1);
        targets.push_back(ids[t]);
        branches.push_back(num_branches);
        weights.push_back(branch.weight);
        advantages.push_back(branch.advantage);
      }
      place += static_cast<int64_t>(ids.size());
      ++num_branches;
    }
  }
  LossBatch batch;
  batch.packed = pack(trees, model);
  const auto device = batch.packed.ids.device();
  const auto real = model.head_weight().scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  batch.rows = ops::upload(rows, device);
  batch.targets = ops::upload(targets, device);
  batch.branches = ops::upload(branches, device);
  batch.weights = at::tensor(weights, real);
  batch.advantages = at::tensor(advantages, real);
  return batch;
}

at::Tensor hidden_rows(const Model& model, const LossBatch& batch) {
  const Embeddings embeddings = model.embed(batch.packed);
  const auto attention =
      std::make_shared<BranchedAttention>(batch.packed.layout, embeddings.tokens.device());
  const at::Tensor hidden = model.decode(embeddings, batch.packed.positions, *attention);
  return hidden.index_select(0, batch.rows);
}

}  // namespace caprl
