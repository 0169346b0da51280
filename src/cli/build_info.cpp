#include "cli/build_info.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <commit.h>  // made by CMake (CaprlCommit.cmake)
#include "caprl/io/parquet.h"

namespace caprl {

bool built_with_cuda() { return CAPRL_BUILT_WITH_CUDA; }

std::string build_info() {
  return fmt::format("commit {}, {}, {}, LibTorch {}, {}, {}", kCommit, CAPRL_BUILD_TYPE,
                     CAPRL_COMPILER, TORCH_VERSION, built_with_cuda() ? "CUDA" : "CPU only",
                     has_parquet() ? "Parquet" : "without Parquet");
}

}  // namespace caprl
