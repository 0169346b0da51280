#include "forward_batch.h"

#include <ATen/ATen.h>

#include "caprl/ops/upload.h"

namespace caprl {

ForwardBatch::ForwardBatch(const Model& model, const std::vector<Stretch>& stretches,
                           const JobOf& job)
    : model_(model) {
  for (const Stretch& stretch : stretches) {
    if (stretch.count == 0) continue;
    stretches_.push_back(stretch);
    Job& mine = job(stretch.line.request);
    stretch.line.is_prompt() ? add_prompt(stretch, mine) : add_sample(stretch, mine);
  }
}

void ForwardBatch::add_prompt(const Stretch& stretch, Job& job) {
  if (job.request.prompt.images.empty()) {
    const auto first = job.request.prompt.ids.begin() + stretch.first;
    ids_.insert(ids_.end(), first, first + stretch.count);
  } else {
    add_embedded(stretch, job);
  }
  const auto first = job.positions.tokens.begin() + stretch.first;
  positions_.insert(positions_.end(), first, first + stretch.count);
}

void ForwardBatch::add_embedded(const Stretch& stretch, Job& job) {
  if (!job.prompt) {
    const BranchedSequence tree{job.request.prompt, {}};
    job.prompt = model_.embed(pack({&tree, 1}, model_));
  }
  flush_ids();
  const auto begin = static_cast<int64_t>(positions_.size());
  pieces_.push_back(job.prompt->tokens.narrow(0, stretch.first, stretch.count));
  if (!job.prompt->deep_features.empty()) {
    const at::Tensor place = job.prompt->image_places - stretch.first;
    const at::Tensor mine = place.ge(0).logical_and_(place.lt(stretch.count)).nonzero().squeeze(1);
    image_places_.push_back(place.index_select(0, mine) + begin);
    deep_features_.resize(job.prompt->deep_features.size());
    for (size_t k = 0; k < deep_features_.size(); ++k)
      deep_features_[k].push_back(job.prompt->deep_features[k].index_select(0, mine));
  }
  if (stretch.is_end) job.prompt.reset();
}

void ForwardBatch::add_sample(const Stretch& stretch, const Job& job) {
  const auto prompt = static_cast<int64_t>(job.request.prompt.ids.size());
  for (int64_t place = stretch.first; place < stretch.first + stretch.count; ++place) {
    ids_.push_back(job.token(stretch.line.sample, place));
    const int64_t position = job.positions.next + place - prompt;
    positions_.push_back({position, position, position});
  }
}

void ForwardBatch::flush_ids() {
  if (ids_.empty()) return;
  pieces_.push_back(model_.embed_tokens(ops::upload(ids_, model_.head_weight().device())));
  ids_.clear();
}

Embeddings ForwardBatch::embeddings() {
  flush_ids();
  Embeddings result = pieces_.size() == 1 ? pieces_.front() : at::cat(pieces_);
  if (deep_features_.empty()) return result;
  result.image_places = at::cat(image_places_);
  for (const auto& features : deep_features_) result.deep_features.push_back(at::cat(features));
  return result;
}

at::Tensor ForwardBatch::run(PagedCache& cache, const Scheduler& scheduler, DecodeGraphs* graphs) {
  std::vector<ops::PagedChunk> chunks;
  for (const Stretch& stretch : stretches_)
    chunks.push_back({scheduler.pages(stretch.line), stretch.first, stretch.count});
  const bool single_tokens = pieces_.empty() && ids_.size() == chunks.size();
  if (graphs && single_tokens) return graphs->run(chunks, ids_, positions_);
  const ops::PagedBatch batch(chunks);
  const at::Tensor positions = ops::upload_columns(positions_, model_.head_weight().device());
  cache.set_batch(&batch);
  at::Tensor hidden = model_.decode(embeddings(), positions, cache);
  cache.set_batch(nullptr);
  return hidden;
}

}  // namespace caprl
