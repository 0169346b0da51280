#include "caprl/dist/launch.h"

#include <charconv>
#include <cstdlib>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr int kMaxProcesses = 1 << 20;

class Environment {
 public:
  explicit Environment(const Variables& variables) : variables_(variables) {}

  std::optional<std::string> text(const std::string& name) const {
    auto value = variables_(name);
    return value && !value->empty() ? value : std::nullopt;
  }
  bool has(const std::string& name) const { return text(name).has_value(); }

  /// A whole number of [from, to].
  int number(const std::string& name, int from, int to) const {
    const auto value = text(name);
    if (!value)
      throw InputError("environment: {} is not set, though other variables of its launcher are",
                       name);
    return parse(name, *value, from, to);
  }
  int number_or(const std::string& name, int from, int to, int otherwise) const {
    return has(name) ? number(name, from, to) : otherwise;
  }

  static int parse(const std::string& name, const std::string& value, int from, int to) {
    int64_t parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size() || parsed < from || parsed > to)
      throw InputError("environment: {}: expected a whole number from {} to {}, got '{}'", name,
                       from, to, value);
    return static_cast<int>(parsed);
  }

 private:
  const Variables& variables_;
};

/// Names of the four numbers that every launcher has.
struct Names {
  const char *launcher, *rank, *world_size, *local_rank, *local_world_size;
};
constexpr Names kTorchrun{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                         "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
// Not SLURM_NTASKS: a batch script has it too, before any srun.
constexpr Names kSrun{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""};
constexpr Names kPmi{"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};

Launch read_numbers(const Environment& environment, const Names& names) {
  Launch launch;
  launch.launcher = names.launcher;
  launch.world_size = environment.number(names.world_size, 1, kMaxProcesses);
  launch.rank = environment.number(names.rank, 0, launch.world_size - 1);
  launch.local_rank = environment.number_or(names.local_rank, 0, launch.world_size - 1, 0);
  launch.local_world_size = environment.number_or(names.local_world_size, launch.local_rank + 1,
                                                  launch.world_size, launch.local_rank + 1);
  return launch;
}

void read_master(const Environment& environment, Launch& launch) {
  if (const auto address = environment.text("MASTER_ADDR")) launch.master_addr = *address;
  launch.master_port = environment.number_or("MASTER_PORT", 1, 65535, launch.master_port);
}

void require_master(const Environment& environment, const Launch& launch) {
  if (!environment.has("MASTER_ADDR"))
    throw InputError(
        "environment: MASTER_ADDR is not set; the {} processes are on several machines and need "
        "the address of rank 0",
        launch.world_size);
}

Launch from_torchrun(const Environment& environment) {
  Launch launch = read_numbers(environment, kTorchrun);
  read_master(environment, launch);
  if (launch.local_world_size < launch.world_size) require_master(environment, launch);
  launch.store_is_running = environment.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (const auto attempt = environment.text("TORCHELASTIC_RESTART_COUNT"))
    launch.store_prefix += "/attempt_" + *attempt;
  return launch;
}

/// Processes on this machine, from SLURM_STEP_TASKS_PER_NODE: "4(x2),3" is 4, 4, 3.
int slurm_tasks_here(const Environment& environment, const Launch& launch) {
  const auto list = environment.text("SLURM_STEP_TASKS_PER_NODE");
  if (!list) return launch.local_world_size;
  int node = environment.number_or("SLURM_NODEID", 0, kMaxProcesses, 0);
  for (size_t begin = 0; begin <= list->size();) {
    const size_t end = std::min(list->find(',', begin), list->size());
    const std::string item = list->substr(begin, end - begin);
    const size_t times = item.find("(x");
    const int tasks = Environment::parse("SLURM_STEP_TASKS_PER_NODE", item.substr(0, times), 1,
                                         launch.world_size);
    node -=
        times == std::string::npos
            ? 1
            : Environment::parse("SLURM_STEP_TASKS_PER_NODE",
                                 item.substr(times + 2, item.size() - times - 3), 1, kMaxProcesses);
    if (node < 0) return tasks;
    begin = end + 1;
  }
  return launch.local_world_size;
}

Launch from_srun(const Environment& environment) {
  Launch launch = read_numbers(environment, kSrun);
  launch.local_world_size = slurm_tasks_here(environment, launch);
  if (const auto hosts = environment.text("SLURM_STEP_NODELIST"))
    launch.master_addr = first_slurm_host(*hosts);
  else if (launch.local_world_size < launch.world_size)
    require_master(environment, launch);
  constexpr int kFirstPort = 20000, kPorts = 10000;  // below those that systems hand out themselves
  launch.master_port =
      kFirstPort + environment.number_or("SLURM_JOB_ID", 0, 2147483647, 0) % kPorts;
  read_master(environment, launch);
  return launch;
}

Launch from_mpirun(const Environment& environment, const Names& names) {
  Launch launch = read_numbers(environment, names);
  read_master(environment, launch);
  if (launch.local_world_size < launch.world_size) require_master(environment, launch);
  return launch;
}

}  // namespace

Launch read_launch(const Variables& variables) {
  const Environment environment(variables);
  if (environment.has("RANK") || environment.has("WORLD_SIZE")) return from_torchrun(environment);
  // Before srun: mpirun starts its helpers by srun, whose variables the processes then inherit.
  if (environment.has(kOpenMpi.rank)) return from_mpirun(environment, kOpenMpi);
  if (environment.has("SLURM_STEP_ID") && environment.has(kSrun.world_size))
    return from_srun(environment);
  if (environment.has(kPmi.rank)) return from_mpirun(environment, kPmi);
  return {};
}

Launch read_launch() {
  return read_launch([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  });
}

std::string first_slurm_host(const std::string& list) {
  std::string host;
  for (size_t i = 0; i < list.size() && list[i] != ',';) {
    if (list[i] != '[') {
      host += list[i++];
      continue;
    }
    const size_t end = list.find(']', i);
    if (end == std::string::npos) break;
    const size_t number_end = list.find_first_of(",-]", i + 1);
    host += list.substr(i + 1, number_end - i - 1);
    i = end + 1;
  }
  if (host.empty() || host.find('[') != std::string::npos || list.find('[') > list.find(']') ||
      (list.find('[') != std::string::npos && list.find(']') == std::string::npos))
    throw InputError("environment: SLURM_STEP_NODELIST: expected a list of hosts, got '{}'", list);
  return host;
}

}  // namespace caprl
