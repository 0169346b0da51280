#include "ops/fused/attention_plan.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "kernels/paged_attention.h"

namespace caprl::ops::fused {
namespace {

static_assert(kKvPageSize == kernels::kAttentionPage);

/// Parts of a batch of short chunks.
class Parts {
 public:
  Parts(const PagedBatch& batch, int64_t tokens_of_a_part)
      : batch_(batch), tokens_of_a_part_(tokens_of_a_part) {
    for (const PagedBatch::Block& block : batch.blocks()) add(block);
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
  int64_t cut(int64_t token, int64_t count, int64_t first, int64_t end, int64_t page,
              int64_t index) {
    for (int64_t key = first; key < end; key += kernels::kAttentionSegment) {
      const auto small = [](int64_t x) { return static_cast<int32_t>(x); };
      parts.push_back({small(token), small(count), small(page + (key - first) / kKvPageSize),
                       small(key), small(std::min<int64_t>(kernels::kAttentionSegment, end - key)),
                       small(index++)});
    }
    return index;
  }

  void add(const PagedBatch::Block& block) {
    const auto length = batch_.lengths().begin() + block.first;
    // A token alone has all of its keys in one run.
    const int64_t most = *std::max_element(length, length + block.count);
    const int64_t shared = std::min(block.shared * kKvPageSize, most);
    const int64_t page = put_pages(block.first, 0, shared);
    int64_t common = 0;
    for (int64_t i = 0; i < block.count; i += tokens_of_a_part_)
      common =
          cut(block.first + i, std::min(tokens_of_a_part_, block.count - i), 0, shared, page, 0);
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
};

}  // namespace

AttentionPlan::AttentionPlan(const PagedBatch& batch, int64_t tokens_of_a_part, at::Device device) {
  slots = at::tensor(batch.slots(), at::kLong).to(device);
  std::vector<PagedChunk> short_chunks;
  std::vector<int64_t> tokens;
  int64_t begin = 0;
  for (const PagedChunk& chunk : batch.chunks()) {
    if (chunk.count > kShortChunk) {
      long_chunks.push_back({begin, chunk});
    } else {
      short_chunks.push_back(chunk);
      for (int64_t i = 0; i < chunk.count; ++i) tokens.push_back(begin + i);
    }
    begin += chunk.count;
  }
  num_short = static_cast<int64_t>(tokens.size());
  if (num_short == 0) return;
  if (!long_chunks.empty()) short_tokens = at::tensor(tokens, at::kLong).to(device);

  const PagedBatch short_batch(short_chunks);
  const Parts work(short_batch, tokens_of_a_part);
  std::vector<int32_t> all;
  const auto put = [&](const int32_t* values, size_t count) {
    all.insert(all.end(), values, values + count);
    return static_cast<int64_t>(all.size() - count);
  };
  constexpr size_t kWords = sizeof(kernels::AttentionPart) / sizeof(int32_t);
  const int64_t parts_at =
      put(reinterpret_cast<const int32_t*>(work.parts.data()), work.parts.size() * kWords);
  const int64_t pages_at = put(work.pages.data(), work.pages.size());
  const int64_t lengths_at = put(work.lengths.data(), work.lengths.size());
  const int64_t slots_at = put(work.first_slots.data(), work.first_slots.size());
  numbers = at::tensor(all, at::kInt).to(device);
  const auto* on_device = numbers.const_data_ptr<int32_t>();
  parts = on_device + parts_at;
  pages = on_device + pages_at;
  lengths = on_device + lengths_at;
  first_slots = on_device + slots_at;
  num_parts = static_cast<int64_t>(work.parts.size());
  num_slots = work.first_slots.back();
}

}  // namespace caprl::ops::fused
