#include "caprl/reward/group_values.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace caprl {

bool nothing_to_compare(const std::vector<std::optional<double>>& values) {
  // Different rewards differ by 1 / (questions)² of the largest at least, equal ones by an ulp at
  // most.
  constexpr double kRounding = 1e-12;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  int64_t count = 0;
  for (const auto& value : values) {
    if (!value) continue;
    low = std::min(low, *value);
    high = std::max(high, *value);
    ++count;
  }
  return count < 2 || high - low <= kRounding * std::max(std::abs(low), std::abs(high));
}

GroupMoments group_moments(const std::vector<std::optional<double>>& values) {
  GroupMoments moments;
  for (const auto& value : values) {
    if (!value) continue;
    moments.count += 1;
    moments.sum += *value;
  }
  moments.mean = moments.sum / moments.count;
  double squares = 0;
  for (const auto& value : values)
    if (value) squares += (*value - moments.mean) * (*value - moments.mean);
  moments.deviation = std::sqrt(squares / (moments.count - 1));
  return moments;
}

std::vector<std::optional<double>> standardise(const std::vector<std::optional<double>>& values,
                                               double eps) {
  auto result = values;
  const bool is_flat = nothing_to_compare(values);
  const GroupMoments moments = is_flat ? GroupMoments{} : group_moments(values);
  for (auto& value : result)
    if (value) value = is_flat ? 0 : (*value - moments.mean) / (moments.deviation + eps);
  return result;
}

}  // namespace caprl
