// Numbers of a group of captions, compared with each other.
#pragma once
#include <optional>
#include <vector>

namespace caprl {

/// True if the values that are there give nothing to compare: fewer than two, or all the same but
/// for the rounding of their quotients (1 of 3 and 2 of 6 right).
bool nothing_to_compare(const std::vector<std::optional<double>>& values);

/// Of the values that are there; at least two.
struct GroupMoments {
  double count = 0, sum = 0, mean = 0;
  double deviation = 0;  // standard deviation with n − 1
};
GroupMoments group_moments(const std::vector<std::optional<double>>& values);

/// (value − mean) / (standard deviation + eps); 0 where there is nothing to compare; absent values
/// stay absent.
std::vector<std::optional<double>> standardise(const std::vector<std::optional<double>>& values,
                                               double eps);

}  // namespace caprl
