#include "caprl/core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>

#include "caprl/core/terminal.h"

namespace caprl {
namespace {

std::string pattern(const std::string& rank) {
  return (terminal_size() ? kClearBelow : "") + ("%H:%M:%S %^%L%$ " + rank) + "%v";
}

}  // namespace

void init_logging() {
  auto logger = std::make_shared<spdlog::logger>(
      "caprl", std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
                   terminal_size() ? spdlog::color_mode::automatic : spdlog::color_mode::never));
  logger->set_pattern(pattern(""));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void set_log_rank(int rank) {
  if (rank == 0) return;
  auto logger = spdlog::default_logger();
  logger->set_level(spdlog::level::warn);
  logger->set_pattern(pattern(fmt::format("rank {}: ", rank)));
}

void write_log(LogLevel level, const std::string& message) {
  const std::lock_guard lock(stderr_mutex());
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
