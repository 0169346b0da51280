// A run as one HTML page that opens anywhere: curves, captions with their rewards, all numbers.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>

namespace caprl {

struct ReportOptions {
  std::filesystem::path run;
  std::filesystem::path out;      // empty: RUN/report.html
  std::filesystem::path compare;  // folder of another run, for its curves; empty: none
};

/// Writes the page and returns its path. InputError for a folder that is no run, a damaged
/// metrics.jsonl and a place that cannot be written to; of rollouts and images the page shows what
/// is there and says what is not.
std::filesystem::path write_report(const ReportOptions& options);

/// Writes the page whenever the run has got further, until its last step is done or `stopped()`;
/// looks every `pause`. Until then the page loads itself again.
void follow_report(const ReportOptions& options, const std::function<bool()>& stopped,
                   std::chrono::milliseconds pause = std::chrono::seconds(5));

}  // namespace caprl
