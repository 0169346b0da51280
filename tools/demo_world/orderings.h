// Whether one captioner is better than another, as measured.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace caprl::demo {

/// "`better` is better than `worse`", two runs of `caprl eval` on the same items.
struct Claim {
  std::string text;
  std::filesystem::path better, worse;
};

struct Ordering {
  std::string text;
  double better = 0, worse = 0;  // mean scores, 0 … 1
  /// Standard error of their difference over the images, which bring their items together.
  double standard_error = 0;

  double difference() const { return better - worse; }
  /// The difference is more than twice its standard error.
  bool holds() const { return difference() > 2 * standard_error; }
};

/// Compares the items of the two runs in pairs. InputError unless both folders hold an
/// items.jsonl with the same items, of two images at least.
Ordering measure(const Claim& claim);

/// A line for each ordering: claim, both scores, difference, whether it holds.
std::string ordering_table(const std::vector<Ordering>& orderings);

}  // namespace caprl::demo
