// The program's log, on stderr.
#pragma once
#include <fmt/format.h>

#include <string>
#include <utility>

namespace caprl {

/// Brings the log into the project's one pattern: "07:30:12 I message". On a terminal a message
/// replaces a progress bar or dashboard, which is drawn again by its next update. Call once, at the
/// start of main().
void init_logging();

/// Of several processes of a run the first logs everything, the others warnings and errors, led by
/// their rank.
void set_log_rank(int rank);

enum class LogLevel { kInfo, kWarning, kError };

/// One line of the log. Thread-safe.
void write_log(LogLevel level, const std::string& message);

// Formatted here: spdlog's own formatting costs every file that calls it seconds to compile.
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace caprl
