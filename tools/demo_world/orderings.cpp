#include "orderings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"

namespace caprl::demo {
namespace {

namespace fs = std::filesystem;

/// Mean scores of the samples by the item's id.
std::map<std::string, double> read_scores(const fs::path& run) {
  const fs::path file = run / "items.jsonl";
  std::map<std::string, double> scores;
  JsonlReader lines(file);
  while (const auto line = lines.next()) {
    const auto id = line->value.at("id").get<std::string>();
    if (!line->value.contains("samples"))
      throw InputError("{}:{}: the item '{}' has no score", file.string(), line->number, id);
    double sum = 0;
    for (const auto& sample : line->value["samples"]) sum += sample.at("score").get<double>();
    scores[id] = sum / static_cast<double>(line->value["samples"].size());
  }
  return scores;
}

/// "heldout-000007" of "heldout-000007-3".
std::string image_of(const std::string& item) { return item.substr(0, item.rfind('-')); }

struct Sums {
  double difference = 0, items = 0;
};

}  // namespace

Ordering measure(const Claim& claim) {
  const auto better = read_scores(claim.better), worse = read_scores(claim.worse);
  Ordering ordering{claim.text};
  std::map<std::string, Sums> images;
  for (const auto& [id, score] : better) {
    const auto other = worse.find(id);
    if (other == worse.end() || better.size() != worse.size())
      throw InputError("{} and {}: expected the same items", claim.better.string(),
                       claim.worse.string());
    Sums& sums = images[image_of(id)];
    sums.difference += score - other->second;
    sums.items += 1;
    ordering.better += score / static_cast<double>(better.size());
    ordering.worse += other->second / static_cast<double>(better.size());
  }
  const auto count = static_cast<double>(images.size());
  if (count < 2)
    throw InputError("{}: expected items of two images at least", claim.better.string());
  // Of a ratio of sums over images: the images differ in their numbers of items.
  double squares = 0;
  for (const auto& [id, sums] : images)
    squares += std::pow(sums.difference - ordering.difference() * sums.items, 2);
  ordering.standard_error =
      std::sqrt(squares * count / (count - 1)) / static_cast<double>(better.size());
  return ordering;
}

std::string ordering_table(const std::vector<Ordering>& orderings) {
  size_t width = 0;
  for (const Ordering& ordering : orderings) width = std::max(width, ordering.text.size());
  std::string table;
  for (const Ordering& ordering : orderings)
    table += fmt::format("{:<{}}  {:.3f} > {:.3f}  by {:+.3f} ± {:.3f}  {}\n", ordering.text, width,
                         ordering.better, ordering.worse, ordering.difference(),
                         2 * ordering.standard_error, ordering.holds() ? "holds" : "DOES NOT HOLD");
  return table;
}

}  // namespace caprl::demo
