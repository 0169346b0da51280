#include "wave.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace caprl {
namespace {

constexpr int64_t kPrefillTokens =
    8192;  // read in one forward pass; a longer prompt is its own pass

CounterRng sequence_rng(const SamplingParams& params, const GenerationRequest& request,
                        uint64_t sample) {
  if (request.parent_sample)
    return {params.seed,
            params.purpose,
            {params.step, request.prompt_id, *request.parent_sample, sample}};
  return {params.seed, params.purpose, {params.step, request.prompt_id, sample}};
}

/// The packed index of the last token read for each sample of a tree, `width` a tree.
void add_last_tokens(const BranchedLayout::Tree& tree, int64_t width, std::vector<int64_t>& last) {
  const int64_t prompt_end = tree.begin + tree.prefix;
  int64_t end = prompt_end;
  for (const int64_t length : tree.branch_lengths) {
    end += length;
    last.push_back((length == 0 ? prompt_end : end) - 1);
  }
  const auto num_holes = width - static_cast<int64_t>(tree.branch_lengths.size());
  last.insert(last.end(), num_holes, prompt_end - 1);
}

}  // namespace

Wave::Wave(const Model& model, const Sampler& sampler, const SamplingParams& params,
           std::span<const GenerationRequest> requests, std::span<const WavePart> parts,
           std::vector<std::vector<GeneratedSequence>>& results)
    : model_(model),
      sampler_(sampler),
      params_(params),
      requests_(requests),
      parts_(parts),
      results_(results) {
  std::vector<int64_t> counts;
  for (const WavePart& part : parts_) {
    counts.push_back(part.num_samples);
    add_sequences(part);
  }
  num_active_ = static_cast<int64_t>(sequences_.size());
  grid_ = make_grid(counts);
}

void Wave::add_sequences(const WavePart& part) {
  const GenerationRequest& request = requests_[part.request];
  const int64_t prompt_end = model_.positions(request.prompt).next;
  for (int64_t i = part.first_sample; i < part.first_sample + part.num_samples; ++i) {
    const auto sample = static_cast<uint64_t>(i);
    sequences_.push_back({{sequence_rng(params_, request, sample), 0, request.prompt_id, sample},
                          prompt_end + static_cast<int64_t>(request.suffixes[i].size()),
                          true,
                          &results_[part.request][i]});
  }
}

void Wave::run() {
  at::Tensor hidden = prefill();
  while (true) {
    sample_tokens(hidden);
    if (num_active_ == 0) return;
    compact_slots();
    hidden = decode_step();
  }
}

/// Reads prompts and suffixes into the cache → hidden states [slots, H] of their last tokens.
at::Tensor Wave::prefill() {
  std::vector<BranchedSequence> trees;
  CacheSizes sizes;
  sizes.width = grid_.width;
  sizes.max_new_tokens = params_.max_new_tokens;
  for (const WavePart& part : parts_) {
    const GenerationRequest& request = requests_[part.request];
    const auto first = request.suffixes.begin() + part.first_sample;
    trees.push_back({request.prompt, {first, first + part.num_samples}});
    sizes.prompt_lengths.push_back(static_cast<int64_t>(request.prompt.ids.size()));
    for (const auto& suffix : trees.back().branches)
      sizes.suffix_lengths.push_back(static_cast<int64_t>(suffix.size()));
    sizes.suffix_lengths.resize(sizes.prompt_lengths.size() * grid_.width, 0);
  }
  const at::TensorOptions options = model_.head_weight().options().requires_grad(false);
  cache_ = std::make_unique<KvCache>(model_.traits(), sizes, options);

  const auto num_tokens = [](const BranchedSequence& tree) {
    size_t count = tree.prefix.ids.size();
    for (const auto& branch : tree.branches) count += branch.size();
    return static_cast<int64_t>(count);
  };
  std::vector<at::Tensor> hidden;
  for (size_t begin = 0, end = 0; begin < trees.size(); begin = end) {
    int64_t tokens = num_tokens(trees[end++]);
    while (end < trees.size() && tokens + num_tokens(trees[end]) <= kPrefillTokens)
      tokens += num_tokens(trees[end++]);
    const BranchedBatch batch = pack(std::span(trees).subspan(begin, end - begin), model_);
    PrefillAttention attention(*cache_, batch.layout, static_cast<int64_t>(begin),
                               options.device());
    const at::Tensor all = model_.decode(model_.embed(batch), batch.positions, attention);
    std::vector<int64_t> last;
    for (const auto& tree : batch.layout.trees) add_last_tokens(tree, grid_.width, last);
    hidden.push_back(all.index_select(0, at::tensor(last, at::kLong).to(all.device())));
  }
  return at::cat(hidden, 0);
}

void Wave::sample_tokens(const at::Tensor& hidden) {
  std::vector<int64_t> slots;
  std::vector<SampleRow> rows;
  for (int64_t slot = 0; slot < grid_.num_slots(); ++slot) {
    const int64_t sequence = grid_.sequences[slot];
    if (sequence == SlotGrid::kHole || !sequences_[sequence].active) continue;
    slots.push_back(slot);
    rows.push_back(sequences_[sequence].row);
  }
  const bool all = static_cast<int64_t>(slots.size()) == hidden.size(0);
  const auto tokens = sampler_.sample(
      all ? hidden : hidden.index_select(0, at::tensor(slots, at::kLong).to(hidden.device())),
      rows);
  for (size_t i = 0; i < slots.size(); ++i) {
    Sequence& sequence = sequences_[grid_.sequences[slots[i]]];
    GeneratedSequence& result = *sequence.result;
    result.ids.push_back(tokens[i].id);
    result.logprobs.push_back(tokens[i].logprob);
    ++sequence.row.position;
    const auto& stops = params_.stop_ids;
    result.stopped = std::find(stops.begin(), stops.end(), tokens[i].id) != stops.end();
    sequence.active =
        !result.stopped && static_cast<int64_t>(result.ids.size()) < params_.max_new_tokens;
    if (!sequence.active) --num_active_;
  }
}

void Wave::compact_slots() {
  auto compaction = compact(grid_, [this](int64_t i) { return sequences_[i].active; });
  if (!compaction) return;
  cache_->select(*compaction);
  grid_ = std::move(compaction->grid);
}

/// Feeds every active sequence its last token; finished ones that still have a slot go on with it,
/// unread.
at::Tensor Wave::decode_step() {
  std::vector<int64_t> ids, positions;
  for (const int64_t i : grid_.sequences) {
    const bool is_hole = i == SlotGrid::kHole;
    ids.push_back(is_hole ? 0 : sequences_[i].result->ids.back());
    positions.push_back(is_hole ? 0 : sequences_[i].next_position++);
  }
  cache_->advance();
  const at::Device device = model_.head_weight().device();
  const at::Tensor position = at::tensor(positions, at::kLong).expand({3, -1}).contiguous();
  return model_.decode(model_.embed_tokens(at::tensor(ids, at::kLong).to(device)),
                       position.to(device), *cache_);
}

}  // namespace caprl
