// Whether captions say the truth, beyond what the questions happen to ask.
#pragma once
#include <cstdint>
#include <filesystem>

#include "captions.h"

namespace caprl::demo {

struct FactCount {
  int64_t num_captions = 0;
  int64_t num_facts = 0;
  int64_t num_true = 0;
  int64_t num_malformed = 0;

  void add(const FactCount& other);
  double share() const;  // of the stated facts that are true; 1 where none is stated
};

/// A caption's facts: the number of objects; of each sentence about a place its colour, its shape,
/// "nothing" or "thing". A sentence that the grammar does not have is one untrue fact.
FactCount count_facts(const Caption& caption, const Scene& scene);

/// Lines {"id", "caption"} (plain or zstd) against the lines of truth.jsonl. InputError "FILE:LINE:
/// …" for ids without a truth.
FactCount count_facts(const std::filesystem::path& captions, const std::filesystem::path& truth);

}  // namespace caprl::demo
