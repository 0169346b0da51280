#include "slot_grid.h"

#include <algorithm>
#include <map>

namespace caprl {
namespace {

/// The active sequences of one prompt.
struct Group {
  int64_t row = 0;  // one of the prompt's rows
  std::vector<int64_t> sequences, slots;
};

std::map<int64_t, Group> active_groups(const SlotGrid& grid,
                                       const std::function<bool(int64_t)>& is_active) {
  std::map<int64_t, Group> groups;
  for (int64_t slot = 0; slot < grid.num_slots(); ++slot) {
    const int64_t sequence = grid.sequences[slot];
    if (sequence == SlotGrid::kHole || !is_active(sequence)) continue;
    const int64_t row = slot / grid.width;
    Group& group = groups[grid.prompts[row]];
    group.row = row;
    group.sequences.push_back(sequence);
    group.slots.push_back(slot);
  }
  return groups;
}

int64_t rows_needed(const std::map<int64_t, Group>& groups, int64_t width) {
  int64_t rows = 0;
  for (const auto& [prompt, group] : groups)
    rows += (static_cast<int64_t>(group.slots.size()) + width - 1) / width;
  return rows;
}

Compaction arrange(const std::map<int64_t, Group>& groups, int64_t width) {
  Compaction result;
  result.grid.width = width;
  for (const auto& [prompt, group] : groups) {
    const auto count = static_cast<int64_t>(group.slots.size());
    for (int64_t begin = 0; begin < count; begin += width) {
      result.grid.prompts.push_back(prompt);
      result.row_sources.push_back(group.row);
      for (int64_t i = begin; i < begin + width; ++i) {
        result.grid.sequences.push_back(i < count ? group.sequences[i] : SlotGrid::kHole);
        result.slot_sources.push_back(group.slots[i < count ? i : begin]);
      }
    }
  }
  return result;
}

}  // namespace

SlotGrid make_grid(std::span<const int64_t> sequences_per_prompt) {
  SlotGrid grid;
  for (const int64_t count : sequences_per_prompt) grid.width = std::max(grid.width, count);
  int64_t next = 0;
  for (size_t prompt = 0; prompt < sequences_per_prompt.size(); ++prompt) {
    grid.prompts.push_back(static_cast<int64_t>(prompt));
    for (int64_t i = 0; i < grid.width; ++i)
      grid.sequences.push_back(i < sequences_per_prompt[prompt] ? next++ : SlotGrid::kHole);
  }
  return grid;
}

std::optional<Compaction> compact(const SlotGrid& grid,
                                  const std::function<bool(int64_t sequence)>& is_active) {
  const auto groups = active_groups(grid, is_active);
  if (groups.empty()) return std::nullopt;
  int64_t best_width = 0, fewest = grid.num_slots();
  for (int64_t width = grid.width; width >= 1; --width) {
    const int64_t rows = rows_needed(groups, width);
    if (rows > grid.num_rows() || rows * width >= fewest) continue;
    best_width = width;
    fewest = rows * width;
  }
  if (best_width == 0 || 4 * fewest > 3 * grid.num_slots()) return std::nullopt;
  return arrange(groups, best_width);
}

}  // namespace caprl
