#include "cli/machine_probe.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>

#include "caprl/core/memory.h"

namespace caprl {
namespace {

constexpr double kLeastSeconds = 0.05;
constexpr double kGpuMemoryProbe = 1e9, kCpuMemoryProbe = 64e6;  // bytes
constexpr double kCpuLink = 2e9, kCpuLatency = 50e-6;            // through the kernel's sockets

/// Seconds of one call, the fastest of some; `run` waits for its result.
template <class Run>
double seconds_of(Run run) {
  using Clock = std::chrono::steady_clock;
  run();  // warms up
  double best = 1e9, all = 0;
  while (all < kLeastSeconds) {
    const auto begin = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    all += seconds;
  }
  return best;
}

}  // namespace

MachineSpeeds measure_machine(at::Device device, at::ScalarType dtype, int64_t tokens,
                              int64_t hidden, int processes) {
  MachineSpeeds machine = machine_speeds("h100");  // shares and links
  const auto options = at::TensorOptions(device).dtype(dtype);
  const at::Tensor x = at::ones({tokens, hidden}, options),
                   w = at::ones({hidden, 4 * hidden}, options);
  const double flops = 8.0 * static_cast<double>(tokens) * static_cast<double>(hidden * hidden);
  machine.flops = flops / seconds_of([&] { at::mm(x, w)[0][0].item(); });
  const double bytes = device.is_cpu() ? kCpuMemoryProbe : kGpuMemoryProbe;
  const at::Tensor memory = at::ones({static_cast<int64_t>(bytes / 4)}, options.dtype(at::kFloat));
  machine.memory_bandwidth = bytes / seconds_of([&] { memory.sum().item(); });
  if (device.is_cpu()) {
    machine.memory = static_cast<double>(available_memory_bytes()) / std::max(1, processes);
    machine.devices_per_node = std::max(1, processes);
    machine.link_in_node = machine.link_between_nodes = kCpuLink;
    machine.link_latency = kCpuLatency;
  } else {
    machine.memory = static_cast<double>(at::accelerator::getMemoryInfo(device.index()).first);
    machine.devices_per_node = static_cast<int>(at::accelerator::deviceCount());
  }
  return machine;
}

}  // namespace caprl
