// The figures of every step, as one JSON object a line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace caprl {

/// Names as in verl and TRL, "critic/rewards/mean".
using Metrics = std::map<std::string, double>;

/// Appends to a metrics file: {"step":12,"actor/grad_norm":0.5,…}, names in alphabetical order,
/// numbers in the shortest form that reads back to the same double; what is not finite, which JSON
/// has no number for, is the string "nan", "inf" or "-inf". Each line is on disk when write()
/// returns. Not thread safe. Error if the file system fails.
class MetricsLogger {
 public:
  /// Keeps the lines of steps ≤ `last_step` of an existing file and drops later ones and what a
  /// crash left of a line, so that the file of a resumed run is that of an uninterrupted one.
  /// InputError for a file that is no metrics file.
  MetricsLogger(std::filesystem::path file, int64_t last_step);
  ~MetricsLogger();
  MetricsLogger(const MetricsLogger&) = delete;
  MetricsLogger& operator=(const MetricsLogger&) = delete;

  /// `step` must not be smaller than in the line before.
  void write(int64_t step, const Metrics& values);

 private:
  std::filesystem::path file_;
  int64_t last_step_;
  int fd_ = -1;
};

}  // namespace caprl
