#include "caprl/http/metrics_text.h"

#include <fmt/format.h>

#include <cmath>

namespace caprl {
namespace {

/// The shortest text that reads back to the same double.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// `quoted`: a label's value.
std::string escaped(std::string_view text, bool quoted) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n')
      escaped += "\\n";
    else if (c == '\\' || (c == '"' && quoted))
      (escaped += '\\') += c;
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

void MetricsText::counter(std::string_view name, std::string_view help, double value) {
  begin(name, help, "counter");
  sample(name, value);
}

void MetricsText::counter(std::string_view name, std::string_view help, std::string_view label,
                          const Labelled& values) {
  begin(name, help, "counter");
  samples(name, label, values);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  begin(name, help, "gauge");
  sample(name, value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, std::string_view label,
                        const Labelled& values) {
  begin(name, help, "gauge");
  samples(name, label, values);
}

void MetricsText::begin(std::string_view name, std::string_view help, std::string_view type) {
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void MetricsText::sample(std::string_view name, double value) {
  text_ += fmt::format("{} {}\n", name, number(value));
}

void MetricsText::samples(std::string_view name, std::string_view label, const Labelled& values) {
  for (const auto& [key, value] : values)
    text_ += fmt::format("{}{{{}=\"{}\"}} {}\n", name, label, escaped(key, true), number(value));
}

std::string metric_name(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    const bool may_be =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':';
    if (!may_be) c = '_';
  }
  return name;
}

}  // namespace caprl
