#include "caprl/core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <string>

namespace caprl {

void init_logging() {
  const std::string clear_line = ::isatty(STDERR_FILENO) ? "\r\x1b[K" : "";
  auto logger = std::make_shared<spdlog::logger>(
      "caprl", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern(clear_line + "%H:%M:%S %^%L%$ %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void set_log_rank(int rank) {
  if (rank == 0) return;
  auto logger = spdlog::default_logger();
  logger->set_level(spdlog::level::warn);
  logger->set_pattern(fmt::format("%H:%M:%S %^%L%$ rank {}: %v", rank));
}

void write_log(LogLevel level, const std::string& message) {
  switch (level) {
    case LogLevel::kInfo:
      return spdlog::info(message);
    case LogLevel::kWarning:
      return spdlog::warn(message);
    case LogLevel::kError:
      return spdlog::error(message);
  }
}

}  // namespace caprl
