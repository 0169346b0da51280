// Which of a run's processes this one is: the variables that torchrun, srun and mpirun set.
#pragma once
#include <functional>
#include <optional>
#include <string>

namespace caprl {

struct Launch {
  std::string launcher = "none";  // torchrun, mpirun, srun; none: a process by itself
  int rank = 0, world_size = 1;
  int local_rank = 0, local_world_size = 1;  // among the processes of this machine
  std::string master_addr = "127.0.0.1";     // where rank 0 is
  int master_port = 29500;
  /// The launcher keeps the rendezvous store itself (torchrun); otherwise rank 0 does.
  bool store_is_running = false;
  /// Attempts of a launcher that starts failed runs again share its store under these names.
  std::string store_prefix = "caprl";
};

/// Value of an environment variable, if it is set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

/// Looks, in this order, for the variables of torchrun or PyTorchJob (RANK, WORLD_SIZE, …), of Open
/// MPI's mpirun (OMPI_COMM_WORLD_…), of srun (SLURM_PROCID within a job step), and of MPICH's or
/// Intel's mpirun (PMI_…). Rank 0's address is MASTER_ADDR and MASTER_PORT; srun's defaults are the
/// step's first host and a port made of the job's number, mpirun's on one machine 127.0.0.1:29500.
/// InputError naming the variable that is missing, no number, or out of range.
Launch read_launch(const Variables& variables);
Launch read_launch();  // of this process's environment

/// First host of a Slurm list: "gpu[003-005,9],login" is "gpu003". InputError if malformed.
std::string first_slurm_host(const std::string& list);

}  // namespace caprl
