#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/version.h"
#include "caprl/dist/world.h"
#include "caprl/train/config.h"
#include "cli/commands.h"
#include "cli/doctor_checks.h"

namespace caprl {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kClockTolerance = 1.0;  // seconds

struct Options {
  bool network = false;
  std::string device = "auto";
  double timeout_s = 60;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void describe_machine(const Launch& launch) {
  std::cout << "caprl " << version() << "\n"
            << "launched by: " << launch.launcher << ", rank " << launch.rank << " of "
            << launch.world_size << "\n";
}

/// What rank 0 prints of all ranks: where they are, and whether versions and clocks agree.
void compare_ranks(const Group& group) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  const auto hosts = group.gather_bytes(host);
  require_equal(group, "caprl's version", version());
  group.barrier();  // all look at their clocks at nearly the same moment
  const auto clocks = group.gather_bytes(fmt::format("{:.6f}", wall_clock()));
  for (size_t r = 0; r < hosts.size() && group.is_first(); ++r) {
    const double difference = std::stod(clocks[r]) - std::stod(clocks[0]);
    std::cout << fmt::format("rank {}: {}, clock {:+.3f} s{}\n", r, hosts[r], difference,
                             std::abs(difference) > kClockTolerance ? " (clocks differ)" : "");
  }
}

/// One collective; its result is the number of ranks everywhere.
struct Exchange {
  const char* name;
  at::Tensor result;
  std::function<void()> work;
};

/// All that training does, with `bytes` of every rank.
std::vector<Exchange> exchanges(const Group& group, int64_t bytes, at::Device device) {
  const auto options = at::TensorOptions(device).dtype(at::kFloat);
  const int64_t part_size = bytes / 4 / group.size();
  const at::Tensor part = at::ones({part_size}, options);
  const at::Tensor whole = at::ones({part_size * group.size()}, options);
  const at::Tensor sums = at::ones_like(whole);
  return {{"sum", sums, [=, &group] { group.all_reduce(sums).wait(); }},
          {"scattered sum", part, [=, &group] { group.reduce_scatter(part, whole).wait(); }},
          {"gather", whole, [=, &group] { group.all_gather(whole, part).wait(); }}};
}

/// Seconds and bytes a second of each, of growing size. Error if one gives something wrong.
void measure_exchanges(const Group& group, at::Device device) {
  for (const int64_t bytes : {int64_t{1000}, int64_t{1'000'000}, int64_t{64'000'000}})
    for (const Exchange& exchange : exchanges(group, bytes, device)) {
      exchange.work();
      if (!exchange.result.eq(group.size()).all().item<bool>())
        throw Error("a {} of {} kB over {} ranks gave something wrong", exchange.name, bytes / 1000,
                    group.size());
      group.barrier();
      const auto begin = Clock::now();
      exchange.work();
      exchange.result[0].item<float>();  // ends when the device has it
      const double seconds = seconds_since(begin);
      if (group.is_first())
        std::cout << fmt::format("{} of {} kB over {} ranks: {:.3f} ms, {:.2f} GB/s\n",
                                 exchange.name, bytes / 1000, group.size(), 1e3 * seconds,
                                 static_cast<double>(bytes) / seconds / 1e9);
    }
}

void check_network(const Launch& launch, const Options& options) {
  const at::Device device = choose_device(options.device, launch.local_rank);
  const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(options.timeout_s * 1000));
  World world(launch, device, timeout, timeout);
  world.run([&] {
    world.at("doctor");
    compare_ranks(world.group());
    measure_exchanges(world.group(), device);
  });
  if (world.is_first()) std::cout << "the network works\n";
}

void examine(const Options& options) {
  const Launch launch = read_launch();
  set_log_rank(launch.rank);
  Checklist checks;
  if (launch.rank == 0) {
    describe_machine(launch);
    check_installation(checks);
  }
  if (options.network) check_network(launch, options);
  if (!checks.all_passed()) throw Error("{}", checks.failures());
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("doctor", "Say what works on this machine");
  auto options = std::make_shared<Options>();
  command->add_flag("--network", options->network,
                    "meet all processes of the launch: addresses, versions, clocks, speed");
  command->add_option("--device", options->device, "as run.device")->capture_default_str();
  command->add_option("--timeout", options->timeout_s, "seconds to wait for the others")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0));
  command->callback([options] { examine(*options); });
}

}  // namespace caprl
