// TensorBoard's event files.
#pragma once
#include <cstdint>
#include <filesystem>

#include "caprl/core/metrics.h"

namespace caprl {

/// Appends figures as scalars to a new event file, which TensorBoard reads after the folder's
/// earlier ones. It begins with a mark that the run goes on at `first_step`: TensorBoard forgets
/// what it has read of that step and later ones. Values are floats in that format. Not thread safe.
/// Error if the file system fails.
class TensorboardWriter {
 public:
  /// InputError if the folder or the file cannot be created.
  TensorboardWriter(const std::filesystem::path& folder, int64_t first_step);
  ~TensorboardWriter();
  TensorboardWriter(const TensorboardWriter&) = delete;
  TensorboardWriter& operator=(const TensorboardWriter&) = delete;

  /// On disk when it returns.
  void write(int64_t step, const Metrics& values);

 private:
  void append(const std::string& event);

  std::filesystem::path file_;
  int fd_ = -1;
};

}  // namespace caprl
