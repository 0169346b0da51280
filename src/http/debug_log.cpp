#include "debug_log.h"

#include <spdlog/spdlog.h>

namespace caprl {

void log_debug(const std::string& message) { spdlog::debug(message); }

}  // namespace caprl
