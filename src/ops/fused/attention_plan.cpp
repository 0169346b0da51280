#include "ops/fused/attention_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "caprl/ops/upload.h"
#include "kernels/paged_attention.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {
namespace {

static_assert(kKvPageSize == kernels::kAttentionPage);

/// So few leave room on a GPU for more and shorter parts.
constexpr int64_t kFewTokens = 128;

int32_t narrow(int64_t x) { return static_cast<int32_t>(x); }

/// Parts of a batch of short chunks.
class Parts {
 public:
  Parts(const PagedBatch& batch, int64_t tokens_of_a_part)
      : batch_(batch),
        tokens_of_a_part_(tokens_of_a_part),
        shared_segment_(batch.num_tokens() <= kFewTokens ? kernels::kAttentionSegment / 2
                                                         : kernels::kAttentionSegment) {
    for (const PagedBatch::Block& block : batch.blocks()) add(block);
    parts.insert(parts.end(), own_.begin(), own_.end());
    const auto num_tokens = static_cast<size_t>(batch.num_tokens());
    lengths.resize(num_tokens, 0);  // padding has no keys
    first_slots.resize(num_tokens + 1, first_slots.back());
  }

  /// Those of several tokens first: they take longest.
  std::vector<kernels::AttentionPart> parts;
  std::vector<int32_t> lengths, first_slots{0};

 private:
  /// Keys `first` … `end` of some tokens, in parts of about one size → the index after the last.
  int64_t cut(std::vector<kernels::AttentionPart>& to, int64_t token, int64_t count, int64_t first,
              int64_t end, int64_t index, int64_t segment) {
    const int64_t num_pages = (end - first + kKvPageSize - 1) / kKvPageSize;
    const int64_t num_parts = (num_pages * kKvPageSize + segment - 1) / segment;
    const int32_t* page = batch_.tables()[token] + first / kKvPageSize;
    for (int64_t part = 0, key = first; part < num_parts; ++part) {
      const int64_t pages = num_pages * (part + 1) / num_parts - num_pages * part / num_parts;
      const int64_t keys = std::min(pages * kKvPageSize, end - key);
      kernels::AttentionPart& next = to.emplace_back();
      next = {narrow(token), narrow(count), narrow(key), narrow(keys), narrow(index++), {}};
      std::copy_n(page, pages, next.pages);
      page += pages;
      key += keys;
    }
    return index;
  }

  void add(const PagedBatch::Block& block) {
    const auto length = batch_.lengths().begin() + block.first;
    // A token alone has all of its keys in one run.
    const int64_t most = *std::max_element(length, length + block.count);
    const int64_t shared = std::min(block.shared * kKvPageSize, most);
    const int64_t segment = block.count > 1 ? shared_segment_ : kernels::kAttentionSegment;
    int64_t common = 0;
    for (int64_t i = 0; i < block.count; i += tokens_of_a_part_)
      common = cut(block.count > 1 ? parts : own_, block.first + i,
                   std::min(tokens_of_a_part_, block.count - i), 0, shared, 0, segment);
    for (int64_t token = block.first; token < block.first + block.count; ++token) {
      const int64_t end = batch_.lengths()[token];
      int64_t mine = common;
      if (end > shared) mine = cut(own_, token, 1, shared, end, common, kernels::kAttentionSegment);
      lengths.push_back(narrow(end));
      first_slots.push_back(first_slots.back() + narrow(mine));
    }
  }

  const PagedBatch& batch_;
  const int64_t tokens_of_a_part_;
  const int64_t shared_segment_;             // its parts have the most rows and take longest
  std::vector<kernels::AttentionPart> own_;  // of one token each
};

constexpr int64_t kWords = sizeof(kernels::AttentionPart) / sizeof(int32_t);

/// Enough for a while of captions that grow.
int64_t with_room(int64_t count) {
  constexpr int64_t kStep = 64;
  return (count + count / 2 + kStep - 1) / kStep * kStep;
}

/// In the order of AttentionPlan::numbers; what is not needed is zero, parts without tokens.
std::vector<int32_t> layout(const AttentionPlan& plan, const Parts& work) {
  std::vector<int32_t> all;
  all.reserve(plan.num_parts * kWords + 2 * work.first_slots.size());
  const auto put = [&](const int32_t* values, size_t count) {
    all.insert(all.end(), values, values + count);
  };
  put(reinterpret_cast<const int32_t*>(work.parts.data()), work.parts.size() * kWords);
  all.resize(plan.num_parts * kWords, 0);
  put(work.lengths.data(), work.lengths.size());
  put(work.first_slots.data(), work.first_slots.size());
  return all;
}

bool fits(const AttentionPlan& plan, const Parts& work) {
  return static_cast<int64_t>(work.parts.size()) <= plan.num_parts &&
         work.first_slots.back() <= plan.num_slots;
}

}  // namespace

AttentionPlan::AttentionPlan(const PagedBatch& batch, int64_t tokens_of_a_part, at::Device device)
    : slots(upload(batch.slots(), device)), tokens_of_a_part(tokens_of_a_part) {
  std::vector<PagedChunk> short_chunks, long_chunks;
  std::vector<int64_t> in_short, in_long;  // tokens
  int64_t token = 0;
  for (const PagedChunk& chunk : batch.chunks()) {
    const bool is_long = chunk.count > kShortChunk;
    (is_long ? long_chunks : short_chunks).push_back(chunk);
    for (int64_t i = 0; i < chunk.count; ++i) (is_long ? in_long : in_short).push_back(token++);
  }
  if (!long_chunks.empty()) {
    plan_long(long_chunks, device);
    if (!in_short.empty()) long_tokens = upload(in_long, device);
  }
  if (in_short.empty()) return;
  std::optional<PagedBatch> rest;
  if (!long_chunks.empty()) {
    short_tokens = upload(in_short, device);
    rest.emplace(short_chunks);
  }
  const PagedBatch& short_batch = rest ? *rest : batch;
  num_short = short_batch.num_tokens();
  const Parts work(short_batch, tokens_of_a_part);
  const auto room = [&](int64_t count) { return batch.is_to_record() ? with_room(count) : count; };
  num_parts = room(static_cast<int64_t>(work.parts.size()));
  num_slots = room(work.first_slots.back());
  numbers = upload(layout(*this, work), device);
}

void AttentionPlan::plan_long(std::span<const PagedChunk> chunks, at::Device device) {
  std::vector<int64_t> queries, keys, places;
  for (const PagedChunk& chunk : chunks) {
    queries.push_back(chunk.count);
    keys.push_back(chunk.first + chunk.count);
    for (int64_t key = 0; key < keys.back(); ++key)
      places.push_back(chunk.pages[key / kKvPageSize] * kKvPageSize + key % kKvPageSize);
  }
  long_queries = Sequences(queries, device);
  long_keys = Sequences(keys, device);
  long_places = upload(places, device);
}

const int32_t* AttentionPlan::parts() const { return numbers.const_data_ptr<int32_t>(); }
const int32_t* AttentionPlan::lengths() const { return parts() + num_parts * kWords; }
const int32_t* AttentionPlan::first_slots() const { return lengths() + num_short; }

bool renew(const AttentionPlan& plan, const PagedBatch& batch) {
  const Parts work(batch, plan.tokens_of_a_part);
  if (batch.num_tokens() != plan.num_short || !fits(plan, work)) return false;
  at::Tensor slots = plan.slots, numbers = plan.numbers;
  upload_to(slots, batch.slots());
  upload_to(numbers, layout(plan, work));
  return true;
}

}  // namespace caprl::ops::fused
