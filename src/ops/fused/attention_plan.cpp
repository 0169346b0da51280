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

/// Parts of a batch of short chunks.
class Parts {
 public:
  Parts(const PagedBatch& batch, int64_t tokens_of_a_part)
      : batch_(batch),
        tokens_of_a_part_(tokens_of_a_part),
        shared_segment_(batch.num_tokens() <= kFewTokens ? kernels::kAttentionSegment / 2
                                                         : kernels::kAttentionSegment) {
    for (const PagedBatch::Block& block : batch.blocks()) add(block);
    const auto num_tokens = static_cast<size_t>(batch.num_tokens());
    lengths.resize(num_tokens, 0);  // padding has no keys
    first_slots.resize(num_tokens + 1, first_slots.back());
  }

  std::vector<kernels::AttentionPart> parts;
  std::vector<int32_t> pages, lengths, first_slots{0};

 private:
  /// Pages `first` … of a token's table, as many as `end` keys need → where they begin in `pages`.
  int64_t put_pages(int64_t token, int64_t first, int64_t end) {
    const auto begin = static_cast<int64_t>(pages.size());
    const int32_t* table = batch_.tables()[token];
    pages.insert(pages.end(), table + first, table + (end + kKvPageSize - 1) / kKvPageSize);
    return begin;
  }

  /// Keys `first` … `end` of the tokens, whose pages begin at `page` → the index after the last.
  int64_t cut(int64_t token, int64_t count, int64_t first, int64_t end, int64_t page, int64_t index,
              int64_t segment = kernels::kAttentionSegment) {
    for (int64_t key = first; key < end; key += segment) {
      const auto small = [](int64_t x) { return static_cast<int32_t>(x); };
      parts.push_back({small(token), small(count), small(page + (key - first) / kKvPageSize),
                       small(key), small(std::min<int64_t>(segment, end - key)), small(index++)});
    }
    return index;
  }

  void add(const PagedBatch::Block& block) {
    const auto length = batch_.lengths().begin() + block.first;
    // A token alone has all of its keys in one run.
    const int64_t most = *std::max_element(length, length + block.count);
    const int64_t shared = std::min(block.shared * kKvPageSize, most);
    const int64_t page = put_pages(block.first, 0, shared);
    const int64_t segment = block.count > 1 ? shared_segment_ : kernels::kAttentionSegment;
    int64_t common = 0;
    for (int64_t i = 0; i < block.count; i += tokens_of_a_part_)
      common = cut(block.first + i, std::min(tokens_of_a_part_, block.count - i), 0, shared, page,
                   0, segment);
    for (int64_t token = block.first; token < block.first + block.count; ++token) {
      const int64_t end = batch_.lengths()[token];
      int64_t mine = common;
      if (end > shared)
        mine = cut(token, 1, shared, end, put_pages(token, shared / kKvPageSize, end), common);
      lengths.push_back(static_cast<int32_t>(end));
      first_slots.push_back(first_slots.back() + static_cast<int32_t>(mine));
    }
  }

  const PagedBatch& batch_;
  const int64_t tokens_of_a_part_;
  const int64_t shared_segment_;  // its parts have the most rows and take longest
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
  all.reserve(plan.num_parts * kWords + plan.num_pages + 2 * work.first_slots.size());
  const auto put = [&](const int32_t* values, size_t count) {
    all.insert(all.end(), values, values + count);
  };
  put(reinterpret_cast<const int32_t*>(work.parts.data()), work.parts.size() * kWords);
  all.resize(plan.num_parts * kWords, 0);
  put(work.pages.data(), work.pages.size());
  all.resize(plan.num_parts * kWords + plan.num_pages, 0);
  put(work.lengths.data(), work.lengths.size());
  put(work.first_slots.data(), work.first_slots.size());
  return all;
}

bool fits(const AttentionPlan& plan, const Parts& work) {
  return static_cast<int64_t>(work.parts.size()) <= plan.num_parts &&
         static_cast<int64_t>(work.pages.size()) <= plan.num_pages &&
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
  num_pages = room(static_cast<int64_t>(work.pages.size()));
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
const int32_t* AttentionPlan::pages() const { return parts() + num_parts * kWords; }
const int32_t* AttentionPlan::lengths() const { return pages() + num_pages; }
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
