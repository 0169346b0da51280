// The log's debug level, which the program shows only when asked to.
#pragma once
#include <string>

namespace caprl {

void log_debug(const std::string& message);

}  // namespace caprl
