// Where the sequences of a decode batch stand: rows of places that share one prompt.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace caprl {

/// A rectangle, so that attention to a prompt is one batched product: row r's places all continue
/// prompts[r], and place (r, i) is slot r · width + i.
struct SlotGrid {
  static constexpr int64_t kHole = -1;

  int64_t width = 0;
  std::vector<int64_t> prompts;    // [rows]; a prompt may have several rows
  std::vector<int64_t> sequences;  // [rows · width]: a sequence, or kHole

  int64_t num_rows() const { return static_cast<int64_t>(prompts.size()); }
  int64_t num_slots() const { return static_cast<int64_t>(sequences.size()); }
};

/// Prompt p's sequences, numbered consecutively over the prompts, in row p.
SlotGrid make_grid(std::span<const int64_t> sequences_per_prompt);

/// A smaller grid for the sequences that go on, and where its rows and slots stood before. Holes
/// take their content from some slot of their row.
struct Compaction {
  SlotGrid grid;
  std::vector<int64_t> row_sources, slot_sources;
};

/// The grid with the fewest slots that has no more rows than before (each row holds its prompt's
/// keys and values). Absent if it would not save at least a quarter of the slots, or if nothing is
/// active.
std::optional<Compaction> compact(const SlotGrid& grid,
                                  const std::function<bool(int64_t sequence)>& is_active);

}  // namespace caprl
