#include "generation/kv_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "caprl/core/error.h"
#include "test_models.h"

namespace caprl {
namespace {

/// Prompts with continuations of which some tokens are read at once and the others one at a time.
struct Tree {
  Prompt prompt;
  std::vector<std::vector<int64_t>> suffixes, rests;
};

/// Hidden states of every token of prompt + suffix + rest, by one pass.
at::Tensor full_hidden(const Model& model, const Tree& tree, size_t sample) {
  std::vector<int64_t> branch = tree.suffixes[sample];
  branch.insert(branch.end(), tree.rests[sample].begin(), tree.rests[sample].end());
  const BranchedSequence whole{tree.prompt, {branch}};
  const BranchedBatch batch = pack({&whole, 1}, model);
  BranchedAttention attention(batch.layout, at::kCPU);
  return model.decode(model.embed(batch), batch.positions, attention);
}

/// Feeds `steps` tokens to every slot of the grid and compares with the full pass.
class CachedDecoding {
 public:
  CachedDecoding(const Model& model, std::vector<Tree> trees, int64_t max_new_tokens)
      : model_(model), trees_(std::move(trees)) {
    std::vector<int64_t> counts;
    CacheSizes sizes;
    for (size_t t = 0; t < trees_.size(); ++t) {
      counts.push_back(static_cast<int64_t>(trees_[t].suffixes.size()));
      for (size_t s = 0; s < trees_[t].suffixes.size(); ++s) {
        places_.push_back({t, s});
        expected_.push_back(full_hidden(model, trees_[t], s));
      }
      sizes.prompt_lengths.push_back(static_cast<int64_t>(trees_[t].prompt.ids.size()));
    }
    grid_ = make_grid(counts);
    sizes.width = grid_.width;
    sizes.max_new_tokens = max_new_tokens;
    for (const int64_t i : grid_.sequences)
      sizes.suffix_lengths.push_back(i == SlotGrid::kHole ? 0
                                                          : static_cast<int64_t>(suffix(i).size()));
    cache_.emplace(model.traits(), sizes, model.head_weight().options().requires_grad(false));
    prefill();
  }

  void steps(int64_t count) {
    for (int64_t i = 0; i < count; ++i) step();
  }
  void keep(const std::function<bool(int64_t)>& is_active) {
    auto compaction = compact(grid_, is_active);
    ASSERT_TRUE(compaction);
    cache_->select(*compaction);
    grid_ = compaction->grid;
    EXPECT_EQ(cache_->num_slots(), grid_.num_slots());
  }
  double largest_error() const { return largest_error_; }
  const KvCache& cache() const { return *cache_; }

 private:
  const std::vector<int64_t>& suffix(int64_t i) const {
    return trees_[places_[i].first].suffixes[places_[i].second];
  }
  void compare(const at::Tensor& hidden, int64_t i, int64_t token) {
    const double error = (hidden - expected_[i][token]).abs().max().item<double>();
    largest_error_ = std::max(largest_error_, error);
  }
  void prefill() {
    std::vector<BranchedSequence> sequences;
    for (const Tree& tree : trees_) sequences.push_back({tree.prompt, tree.suffixes});
    const BranchedBatch batch = pack(sequences, model_);
    PrefillAttention attention(*cache_, batch.layout, 0, at::kCPU);
    const at::Tensor hidden = model_.decode(model_.embed(batch), batch.positions, attention);
    compare(hidden[trees_[0].prompt.ids.size() - 1], 0,
            static_cast<int64_t>(trees_[0].prompt.ids.size()) - 1);
  }
  void step() {
    cache_->advance();
    std::vector<int64_t> ids, positions;
    for (const int64_t i : grid_.sequences) {
      ids.push_back(
          i == SlotGrid::kHole ? 0 : trees_[places_[i].first].rests[places_[i].second][step_]);
      positions.push_back(i == SlotGrid::kHole ? 0 : first_position(i) + step_);
    }
    const at::Tensor hidden =
        model_.decode(model_.embed_tokens(at::tensor(ids, at::kLong)),
                      at::tensor(positions, at::kLong).expand({3, -1}).contiguous(), *cache_);
    for (int64_t slot = 0; slot < grid_.num_slots(); ++slot) {
      const int64_t i = grid_.sequences[slot];
      if (i == SlotGrid::kHole) continue;
      const auto read = trees_[places_[i].first].prompt.ids.size() + suffix(i).size();
      compare(hidden[slot], i, static_cast<int64_t>(read) + step_);
    }
    ++step_;
  }
  int64_t first_position(int64_t i) const {
    return model_.positions(trees_[places_[i].first].prompt).next +
           static_cast<int64_t>(suffix(i).size());
  }

  const Model& model_;
  std::vector<Tree> trees_;
  std::vector<std::pair<size_t, size_t>> places_;
  std::vector<at::Tensor> expected_;
  SlotGrid grid_;
  std::optional<KvCache> cache_;
  int64_t step_ = 0;
  double largest_error_ = 0;
};

/// Samples with suffixes of the given lengths and `rest` tokens after them.
Tree tree(Prompt prompt, const std::vector<int64_t>& suffix_lengths, int64_t rest, uint64_t seed) {
  Tree result{std::move(prompt), {}, {}};
  for (size_t i = 0; i < suffix_lengths.size(); ++i) {
    result.suffixes.push_back(some_ids(suffix_lengths[i], 100 * seed + i));
    result.rests.push_back(some_ids(rest, 100 * seed + 50 + i));
  }
  return result;
}

TEST(KvCache, DecodingEqualsTheFullForwardPassInDoublePrecision) {
  at::NoGradGuard no_grad;
  const auto model = tiny_model(tiny_text_config(), at::kDouble);
  CachedDecoding decoding(
      *model,
      {tree({some_ids(5, 1), {}}, {0, 3, 1}, 12, 1), tree({some_ids(11, 2), {}}, {0}, 12, 2),
       tree({some_ids(1, 3), {}}, {2, 2, 7, 0}, 12, 3)},
      12);
  decoding.steps(4);
  // Sequences 0 1 2 | 3 | 4 5 6 7.
  decoding.keep([](int64_t i) { return i == 1 || i == 4 || i == 6 || i == 7; });
  decoding.steps(4);
  decoding.keep([](int64_t i) { return i == 7; });
  decoding.steps(4);
  EXPECT_LT(decoding.largest_error(), 1e-10);
}

TEST(KvCache, GrowsAndHoldsWhatItHad) {
  at::NoGradGuard no_grad;
  const auto model = tiny_model(tiny_text_config(), at::kDouble);
  CachedDecoding decoding(*model, {tree({some_ids(4, 1), {}}, {0, 2}, 150, 1)}, 150);
  EXPECT_EQ(decoding.cache().capacity(), 66);
  decoding.steps(100);
  EXPECT_EQ(decoding.cache().capacity(), 132);
  decoding.steps(50);
  EXPECT_EQ(decoding.cache().capacity(), 152);
  EXPECT_LT(decoding.largest_error(), 1e-10);
  EXPECT_THROW(decoding.steps(1), Error);
}

TEST(KvCache, PositionsContinueAfterImages) {
  at::NoGradGuard no_grad;
  const auto model = tiny_model(tiny_vision_config(), at::kDouble);
  CachedDecoding decoding(
      *model,
      {tree(image_prompt(4, 8, 1), {0, 2}, 6, 1), tree(image_prompt(6, 4, 2), {1, 0}, 6, 2),
       tree({some_ids(3, 3), {}}, {0, 0}, 6, 3)},
      6);
  decoding.steps(6);
  EXPECT_LT(decoding.largest_error(), 1e-10);
}

TEST(KvCache, SinglePrecisionDiffersByRounding) {
  at::NoGradGuard no_grad;
  const auto model = tiny_model(tiny_text_config());
  CachedDecoding decoding(*model, {tree({some_ids(9, 1), {}}, {0, 5, 1}, 20, 1)}, 20);
  decoding.steps(20);
  EXPECT_LT(decoding.largest_error(), 2e-5);
}

}  // namespace
}  // namespace caprl
