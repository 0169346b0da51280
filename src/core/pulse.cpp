#include "caprl/core/pulse.h"

#include <atomic>

namespace caprl {
namespace {

std::atomic<int64_t> pulses{0};
std::atomic<int> waits{0};

}  // namespace

void pulse() noexcept { pulses.fetch_add(1, std::memory_order_relaxed); }
int64_t num_pulses() noexcept { return pulses.load(std::memory_order_relaxed); }

Waiting::Waiting() noexcept { waits.fetch_add(1); }
Waiting::~Waiting() {
  pulse();  // before it counts as working again
  waits.fetch_sub(1);
}
bool is_waiting() noexcept { return waits.load() > 0; }

}  // namespace caprl
