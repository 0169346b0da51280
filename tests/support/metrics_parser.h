// Prometheus's text format 0.0.4, read as strictly as its description allows.
#pragma once
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace caprl {

class MetricsParser {
 public:
  /// Samples by name and labels as written: `caprl_phase{phase="gen"}`. Throws for any violation.
  static std::map<std::string, double> parse(std::string_view text) {
    MetricsParser parser;
    if (!text.ends_with('\n')) parser.fail("the last line does not end");
    while (!text.empty()) {
      const size_t end = text.find('\n');
      parser.line_ = text.substr(0, end);
      text.remove_prefix(end + 1);
      parser.line();
    }
    return std::move(parser.samples_);
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw std::runtime_error(std::string(what) + ": '" + std::string(line_) + "'");
  }

  void line() {
    left_ = line_;
    if (left_.starts_with("# HELP ")) {
      left_.remove_prefix(7);
      begin(name(false));
      if (!help_.insert(metric_).second) fail("a second HELP");
      take(' ');
      for (size_t i = 0; i < left_.size(); ++i)
        if (left_[i] == '\\' && (++i == left_.size() || (left_[i] != '\\' && left_[i] != 'n')))
          fail("an unknown escape");
    } else if (left_.starts_with("# TYPE ")) {
      left_.remove_prefix(7);
      begin(name(false));
      take(' ');
      if (left_ != "counter" && left_ != "gauge") fail("an unknown type");
      if (left_ == "counter" && !metric_.ends_with("_total")) fail("a counter's name");
      if (!typed_.insert(metric_).second) fail("a second TYPE");
      if (sampled_) fail("TYPE after a sample");
    } else {
      sample();
    }
  }

  /// All lines of a metric are together.
  void begin(const std::string& metric) {
    if (metric == metric_) return;
    if (!seen_.insert(metric).second) fail("a metric in two places");
    metric_ = metric;
    sampled_ = false;
  }

  void sample() {
    const std::string metric = name(false);
    begin(metric);
    if (!help_.contains(metric) || !typed_.contains(metric)) fail("no HELP or TYPE before");
    std::set<std::string> labels;
    if (left_.starts_with('{')) {
      take('{');
      while (!left_.starts_with('}')) {
        if (!labels.insert(name(true)).second) fail("a label twice");
        take('=');
        take('"');
        quoted();
        if (!left_.starts_with('}')) take(',');
      }
      take('}');
    }
    const std::string id(line_.substr(0, line_.size() - left_.size()));
    take(' ');
    if (!samples_.emplace(id, value()).second) fail("a sample twice");
    sampled_ = true;
  }

  std::string name(bool of_label) {
    size_t size = 0;
    const auto may_be = [&](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
             (c == ':' && !of_label) || (c >= '0' && c <= '9' && size > 0);
    };
    while (size < left_.size() && may_be(left_[size])) ++size;
    if (size == 0) fail("no name");
    const std::string name(left_.substr(0, size));
    left_.remove_prefix(size);
    return name;
  }

  void quoted() {
    for (; !left_.starts_with('"'); left_.remove_prefix(1)) {
      if (left_.empty()) fail("a label does not end");
      if (left_[0] != '\\') continue;
      left_.remove_prefix(1);
      if (left_.empty() || std::string_view("\\\"n").find(left_[0]) == std::string_view::npos)
        fail("an unknown escape");
    }
    take('"');
  }

  double value() const {
    const std::string text(left_);
    if (text == "NaN" || text == "+Inf" || text == "-Inf")
      return std::strtod(text.c_str(), nullptr);
    if (text.empty() || text.find_first_not_of("0123456789+-.e") != std::string::npos)
      fail("no number");
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (*end != '\0') fail("no number");
    return value;
  }

  void take(char c) {
    if (!left_.starts_with(c)) fail("another character was expected");
    left_.remove_prefix(1);
  }

  std::string_view line_, left_;
  std::string metric_;
  bool sampled_ = false;
  std::set<std::string> seen_, help_, typed_;
  std::map<std::string, double> samples_;
};

}  // namespace caprl
