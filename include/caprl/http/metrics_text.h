// Prometheus's text format, version 0.0.4.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caprl {

/// Collects metrics, each name once:
///   text.counter("caprl_batches_total", "Batches answered.", 7);
///   text.gauge("caprl_phase", "1 of what is done now.", "phase", {{"gen", 1}, {"reward", 0}});
/// Names are letters, digits, '_' and ':' (metric_name); help and labels may hold anything.
class MetricsText {
 public:
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";
  /// Values of one metric by a label's.
  using Labelled = std::vector<std::pair<std::string, double>>;

  void counter(std::string_view name, std::string_view help, double value);
  void counter(std::string_view name, std::string_view help, std::string_view label,
               const Labelled& values);
  void gauge(std::string_view name, std::string_view help, double value);
  void gauge(std::string_view name, std::string_view help, std::string_view label,
             const Labelled& values);
  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view name, std::string_view help, std::string_view type);
  void sample(std::string_view name, double value);
  void samples(std::string_view name, std::string_view label, const Labelled& values);

  std::string text_;
};

/// `text` with '_' for every character that a metric's name may not have; not to begin one.
std::string metric_name(std::string_view text);

}  // namespace caprl
