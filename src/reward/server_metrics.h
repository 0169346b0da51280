// The reward server's figures in Prometheus's text format.
#pragma once
#include <string>

#include "batcher.h"
#include "caprl/http/server.h"

namespace caprl {

std::string metrics_text(const HttpServerCounters& http, const BatchCounts& batches);

}  // namespace caprl
