// Traces of what CPU threads and GPUs do, which Perfetto and chrome://tracing open.
#pragma once
#include <filesystem>
#include <memory>

namespace caprl {

/// Records ATen's operations, the GPUs' kernels and the named phases from its construction until
/// save(). One at a time in a process.
class Trace {
 public:
  Trace();
  /// What was not saved is dropped.
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Ends the recording and writes it as Chrome's JSON. Error if the file cannot be written.
  void save(const std::filesystem::path& path);

 private:
  bool recording_ = true;
};

/// Its lifetime is one span of traces. Costs next to nothing without one.
class TracedPhase {
 public:
  explicit TracedPhase(const char* name);
  ~TracedPhase();
  TracedPhase(const TracedPhase&) = delete;
  TracedPhase& operator=(const TracedPhase&) = delete;

 private:
  struct Span;
  std::unique_ptr<Span> span_;
};

}  // namespace caprl
