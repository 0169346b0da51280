#include "caprl/dist/launch.h"

#include <gmock/gmock.h>

#include <map>

#include "support/errors.h"

namespace caprl {
namespace {

using Values = std::map<std::string, std::string>;

Launch read(const Values& values) {
  return read_launch([&](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  });
}

void expect(const Launch& launch, const char* launcher, int rank, int size, int local_rank,
            int local_size, const std::string& address, int port) {
  EXPECT_EQ(launch.launcher, launcher);
  EXPECT_EQ(launch.rank, rank);
  EXPECT_EQ(launch.world_size, size);
  EXPECT_EQ(launch.local_rank, local_rank);
  EXPECT_EQ(launch.local_world_size, local_size);
  EXPECT_EQ(launch.master_addr, address);
  EXPECT_EQ(launch.master_port, port);
}

TEST(Launch, WithoutALauncherIsOneProcess) {
  expect(read({}), "none", 0, 1, 0, 1, "127.0.0.1", 29500);
  // A batch script of Slurm before any srun.
  expect(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}}), "none", 0, 1,
         0, 1, "127.0.0.1", 29500);
}

TEST(Launch, Torchrun) {
  const Launch launch = read({{"RANK", "5"},
                              {"WORLD_SIZE", "8"},
                              {"LOCAL_RANK", "1"},
                              {"LOCAL_WORLD_SIZE", "4"},
                              {"MASTER_ADDR", "node1"},
                              {"MASTER_PORT", "1234"},
                              {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                              {"TORCHELASTIC_RESTART_COUNT", "2"}});
  expect(launch, "torchrun", 5, 8, 1, 4, "node1", 1234);
  EXPECT_TRUE(launch.store_is_running);
  EXPECT_EQ(launch.store_prefix, "caprl/attempt_2");
}

TEST(Launch, PyTorchJobOfKubernetes) {
  const Launch launch = read({{"RANK", "1"},
                              {"WORLD_SIZE", "2"},
                              {"MASTER_ADDR", "job-master-0"},
                              {"MASTER_PORT", "23456"}});
  expect(launch, "torchrun", 1, 2, 0, 1, "job-master-0", 23456);
  EXPECT_FALSE(launch.store_is_running);
}

TEST(Launch, Srun) {
  const Values values = {{"SLURM_PROCID", "6"},
                         {"SLURM_STEP_ID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "11"},
                         {"SLURM_LOCALID", "2"},
                         {"SLURM_NODEID", "1"},
                         {"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"},
                         {"SLURM_STEP_NODELIST", "gpu[03-04,9]"},
                         {"SLURM_JOB_ID", "123456"}};
  expect(read(values), "srun", 6, 11, 2, 4, "gpu03", 23456);
  Values last = values;
  last["SLURM_NODEID"] = "2";
  EXPECT_EQ(read(last).local_world_size, 3);
  last["MASTER_ADDR"] = "10.0.0.1";
  last["MASTER_PORT"] = "77";
  expect(read(last), "srun", 6, 11, 2, 3, "10.0.0.1", 77);
}

TEST(Launch, Mpirun) {
  const Values open_mpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                           {"SLURM_STEP_ID", "0"},  // of the srun that started mpirun's helper
                           {"SLURM_STEP_NUM_TASKS", "1"},
                           {"SLURM_PROCID", "0"}};
  expect(read(open_mpi), "mpirun", 1, 2, 1, 2, "127.0.0.1", 29500);
  expect(read({{"PMI_RANK", "3"},
               {"PMI_SIZE", "4"},
               {"MPI_LOCALRANKID", "3"},
               {"MPI_LOCALNRANKS", "4"},
               {"MASTER_PORT", "5"}}),
         "mpirun", 3, 4, 3, 4, "127.0.0.1", 5);
}

void expect_refused(const Values& values, const std::string& words) {
  expect_error<InputError>([&] { read(values); }, {words});
}

TEST(Launch, NamesTheVariableThatIsWrong) {
  expect_refused({{"RANK", "1"}}, "WORLD_SIZE is not set");
  expect_refused({{"RANK", "2"}, {"WORLD_SIZE", "2"}},
                 "RANK: expected a whole number from 0 to 1, got '2'");
  expect_refused({{"RANK", "0"}, {"WORLD_SIZE", "two"}},
                 "WORLD_SIZE: expected a whole number from 1 to 1048576, got 'two'");
  expect_refused({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_WORLD_SIZE", "1"}},
                 "MASTER_ADDR is not set");
  expect_refused(
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}},
      "MASTER_PORT: expected a whole number from 1 to 65535, got '70000'");
  expect_refused({{"OMPI_COMM_WORLD_RANK", "0"},
                  {"OMPI_COMM_WORLD_SIZE", "4"},
                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
                 "MASTER_ADDR is not set; the 4 processes are on several machines");
}

TEST(Launch, FirstHostOfASlurmList) {
  EXPECT_EQ(first_slurm_host("a"), "a");
  EXPECT_EQ(first_slurm_host("a,b[1-2]"), "a");
  EXPECT_EQ(first_slurm_host("gpu[003-005,9],login"), "gpu003");
  EXPECT_EQ(first_slurm_host("rack[2,4]-node[7-8]"), "rack2-node7");
  EXPECT_EQ(first_slurm_host("n[7].cluster"), "n7.cluster");
  for (const char* bad : {"", "n[1-2", ",a", "[", "]n["})
    expect_error<InputError>([&] { first_slurm_host(bad); }, {"expected a list of hosts"});
}

}  // namespace
}  // namespace caprl
